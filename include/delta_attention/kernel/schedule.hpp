#pragma once

#include <delta_attention/kernel/key_parts.hpp>
#include <delta_attention/kernel/problem.hpp>

#include <algorithm>
#include <cstdint>

namespace delta_attention::kernel {

/// Teams for `count` items: one each, as far as Kokkos' int goes, and the 2^32 threads along one
/// side of a grid that AMD's runtime allows; beyond that a team takes several.
inline int league_size(std::int64_t count, int vector_length = 1) {
  const std::int64_t most = (std::int64_t(1) << 30) / vector_length;
  return static_cast<int>(count < most ? count : most);
}

/// One unit of scheduling: a tile of rows and the keys that it attends to.
struct work_item {
  tile_rows rows;
  mask::key_range keys;
  int split;
};

/// The work of one pass over a row set. Tiles go from the last to the first: under a causal mask
/// the longest come first, so that dynamic scheduling ends evenly. Neighbouring items are the same
/// tile of all heads or, with heads in turn, tiles of the same head and part of its keys.
struct schedule {
  row_set set;
  int batches, heads_outer;  // tiles: heads_outer of them side by side,
  divisor heads_inner;       // each with so many query heads
  int group, tile_rows_;
  key_parts parts;
  std::int64_t keys, keys_per_split, query_offset, tiles;
  bool heads_in_turn = false;

  /// Cuts the rows of `set` into tiles of `rows_per_tile`. Query heads of one kv head, or of
  /// `kv_heads_together` of them, share a tile unless the mask tells them apart.
  template <class Element>
  schedule(const problem<Element>& p, const row_set& rows, bool heads_differ, int rows_per_tile,
           int kv_heads_together = 1)
      : set(rows),
        batches(p.batches()),
        heads_outer(heads_differ ? p.query_heads() : p.kv_heads() / kv_heads_together),
        heads_inner(heads_differ ? 1 : p.group() * kv_heads_together),
        group(p.group()),
        tile_rows_(rows_per_tile),
        parts(rows.count),
        keys(p.keys()),
        keys_per_split(keys),
        query_offset(p.query_offset) {
    tiles = (rows.count * heads_inner.value() + rows_per_tile - 1) / rows_per_tile;
  }
  /// Cuts the keys into at most `ways` parts of whole `tile_keys`. `within_causal`: no row sees
  /// beyond its position.
  void split(std::int64_t ways, int tile_keys, bool within_causal = false) {
    if (ways <= 1) return;
    keys_per_split = (keys + ways - 1) / ways;
    keys_per_split = (keys_per_split + tile_keys - 1) / tile_keys * tile_keys;
    parts = key_parts(set.count);
    parts.count = keys == 0 ? 1 : int((keys + keys_per_split - 1) / keys_per_split);
    if (!within_causal) return;
    const std::int64_t position = std::max<std::int64_t>(set.first + query_offset, 0);
    parts.end_with_rows((position + set.step - 1) / set.step, set.step, keys_per_split);
  }

  KOKKOS_FUNCTION std::int64_t items() const { return tiles * parts.count * heads_outer * batches; }
  KOKKOS_FUNCTION work_item item(std::int64_t i) const {
    work_item w;
    const auto next = [&i](std::int64_t count) {
      const std::int64_t digit = i % count;
      i /= count;
      return digit;
    };
    std::int64_t tile;
    int outer;
    if (heads_in_turn) {
      tile = next(tiles);
      w.split = int(next(parts.count));
      w.rows.batch = int(next(batches));
      outer = int(i);
    } else {
      outer = int(next(heads_outer));
      w.rows.batch = int(next(batches));
      w.split = int(next(parts.count));
      tile = i;
    }
    const std::int64_t begin = (tiles - 1 - tile) * tile_rows_;
    const std::int64_t heads = heads_inner.value(), left = set.count * heads - begin;
    w.rows.count = int(left < tile_rows_ ? left : tile_rows_);
    w.rows.heads = heads_inner;
    w.rows.first_ordinal = begin / heads;
    w.rows.shift = int(begin - w.rows.first_ordinal * heads);
    w.rows.first_head = outer * heads_inner.value();
    w.rows.kv_head = w.rows.first_head / group;
    w.rows.set = set;
    w.rows.query_offset = query_offset;
    const std::int64_t end = (w.split + 1) * keys_per_split;
    w.keys = {w.split * keys_per_split, end < keys ? end : keys};
    return w;
  }
};

/// The items of a schedule, dealt out to host threads. Kokkos gives each thread a part of the
/// league, one after the other; a thread works from its part's front on, and then from the ends of
/// others'. Dealt tile by tile, all begin with the longest and the shortest are left to the end;
/// where there are fewer tiles than threads, each has one piece. (Not item by item: threads would
/// write next to each other at the same time, and wait for lines that the other's prefetching has
/// taken.)
struct dealt_items {
  int threads, together, turns;  // a thread has so many items in each of its turns

  dealt_items(const schedule& plan, int host_threads) : threads(host_threads) {
    const std::int64_t items = league_size(plan.items()), even = (items - 1) / threads + 1;
    together = int(std::min(even, std::int64_t(plan.heads_outer) * plan.batches));
    turns = int((even - 1) / together + 1);
  }
  int league() const { return threads * turns * together; }
  KOKKOS_FUNCTION std::int64_t item(int league_rank) const {
    const int part = turns * together, thread = league_rank / part, i = league_rank % part;
    return (std::int64_t(i / together) * threads + thread) * together + i % together;
  }
};

}  // namespace delta_attention::kernel
