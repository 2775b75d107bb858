#pragma once

#include <delta_attention/mask/mask.hpp>
#include <delta_attention/tensor/tensor.hpp>

#include <cstdint>

namespace delta_attention::kernel {

/// What one call attends to: tensors without their Views' types, sizes, and how scores are made.
template <class Element> struct problem {
  using accumulator = accumulator_of<Element>;

  tensor<const Element> q, k, v;
  std::int64_t query_offset = 0;
  accumulator scale = 1, softcap = 0;

  KOKKOS_FUNCTION int batches() const { return int(q.batches); }
  KOKKOS_FUNCTION int query_heads() const { return int(q.heads); }
  KOKKOS_FUNCTION int kv_heads() const { return int(k.heads); }
  KOKKOS_FUNCTION int group() const { return int(q.heads / k.heads); }
  KOKKOS_FUNCTION std::int64_t queries() const { return q.tokens; }
  KOKKOS_FUNCTION std::int64_t keys() const { return k.tokens; }
  KOKKOS_FUNCTION int head_size() const { return int(q.channels); }
  KOKKOS_FUNCTION int value_size() const { return int(v.channels); }
  mask::geometry geometry() const { return {q.batches, q.heads, q.tokens, k.tokens, query_offset}; }

  /// Queries are multiplied by this when loaded, so that a product with a key is the score over log
  /// 2 or, with a softcap c, over c.
  KOKKOS_FUNCTION accumulator query_factor() const {
    return softcap > 0 ? scale / softcap : scale * accumulator(1.4426950408889634);
  }
};

/// Where one call's results go, and the sink logits that join them last. `data` is null for what
/// nobody asked for.
template <class Element> struct output {
  tensor<Element> out;
  tensor<accumulator_of<Element>> lse;
  tensor<const float> sink_logits;  // one batch, one token
};

/// The query tokens first, first + step, ... of a call, `count` of them.
struct row_set {
  std::int64_t first, step, count;
};

/// Rows of one tile: `count` rows of (token, head) of one kv head from the `begin`-th on, tokens
/// outermost, and `heads` query heads from `first_head` on, which share the tile.
struct tile_rows {
  int batch, kv_head, first_head, heads, count;
  std::int64_t begin;
  row_set set;
  std::int64_t query_offset;

  KOKKOS_FUNCTION std::int64_t ordinal(int r) const { return (begin + r) / heads; }
  KOKKOS_FUNCTION std::int64_t token(int r) const { return set.first + ordinal(r) * set.step; }
  KOKKOS_FUNCTION int head(int r) const { return first_head + int((begin + r) % heads); }
  KOKKOS_FUNCTION std::int64_t position(int r) const { return token(r) + query_offset; }
  /// The block that rows a <= r < b make for the mask.
  KOKKOS_FUNCTION mask::row_block block(int a, int b) const {
    return {batch, first_head, position(a), position((b < count ? b : count) - 1)};
  }
};

}  // namespace delta_attention::kernel
