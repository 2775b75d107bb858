#pragma once

#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/arch/wgmma_tile.hpp>
#include <delta_attention/arch/words.hpp>
#include <delta_attention/kernel/epilogue.hpp>
#include <delta_attention/kernel/problem.hpp>

#if defined(DELTA_ATTENTION_HAS_WGMMA)

namespace delta_attention::arch {

/// The side of the warps that have keys or values copied.
template <class Element, int D> class wgmma_loader : wgmma_tile<Element, D> {
  using tile = wgmma_tile<Element, D>;
  using tile::at, tile::lane_;

 public:
  /// `first` is the turn of the first copy: 0 for keys, 1 for values.
  __device__ wgmma_loader(const hopper_lane& lane, const tensor_maps& maps, unsigned first)
      : tile(lane), maps_(maps), turn_{first} {}

  /// Puts a map of this warp's copies to where it has an address that the copy engine knows.
  __device__ void publish(const CUtensorMap& from, CUtensorMap& to) const {
    if (lane_.lane() > 0) return;  // lane 0 has everything copied
    to = from;
    lane_.publish_map(to);
  }

  template <class Work> __device__ const Work& take_item() {
    const Work& work = tile::template await_told<Work>();
    lane_.warp_arrives(at(tile::item_taken, 0));
    return work;
  }
  /// Keys of a tile; `info` is what the others shall know of it.
  template <class Info> __device__ void copy_keys(const kernel::tile_rows& rows, const Info& info) {
    static_assert(sizeof(Info) <= tile::info_bytes);
    await(tile::keys_empty);
    if (lane_.lane() == 0) {
      lane_.shared_store(at(tile::key_infos + turn_.stage() * tile::info_bytes), info);
      copy(at(tile::keys_full, turn_.stage()), tile::keys, maps_.keys, rows, info.keys);
    }
    turn_.next();
  }
  __device__ void copy_values(const kernel::tile_rows& rows, mask::key_range keys) {
    await(tile::values_empty);
    if (lane_.lane() == 0)
      copy(at(tile::values_full, turn_.stage()), tile::values, maps_.values, rows, keys);
    turn_.next();
  }
  /// Of the values of a tile those that are wanted, and zeros, once the copies are there.
  template <class Wanted>
  __device__ void copy_some_values(const kernel::tile_rows& rows, mask::key_range keys,
                                   const Wanted& wanted) {
    const auto bits = tile::key_bits::where(lane_, int(keys.size()), wanted);
    if (bits.all()) return copy_values(rows, keys);
    await(tile::values_empty);
    if (lane_.lane() == 0) copy(at(tile::some_values, 0), tile::values, maps_.values, rows, keys);
    lane_.await(at(tile::some_values, 0), some_parity_);
    some_parity_ ^= 1;
    const int matrix = tile::values + turn_.stage() * tile::matrix_bytes;
    DELTA_ATTENTION_NO_UNROLL
    for (int r = lane_.lane(); r < tile::tile_keys; r += hopper_lane::lanes) {
      if (bits[r]) continue;
      DELTA_ATTENTION_UNROLL
      for (int c = 0; c < D / 8; ++c) lane_.shared_store(tile::place(matrix, r, c), words4{});
    }
    lane_.publish();
    lane_.warp_barrier();
    if (lane_.lane() == 0) lane_.arrive(at(tile::values_full, turn_.stage()));
    turn_.next();
  }

 private:
  __device__ void await(typename tile::barrier empty) const {
    lane_.await(at(empty, turn_.stage()), turn_.parity() ^ 1);
  }
  // By one lane.
  __device__ void copy(int full, int matrices, const CUtensorMap& map,
                       const kernel::tile_rows& rows, mask::key_range keys) const {
    lane_.arrive_expecting(full, tile::matrix_bytes);
    DELTA_ATTENTION_UNROLL
    for (int h = 0; h < tile::halves; ++h)
      lane_.copy_box(at(matrices + turn_.stage() * tile::matrix_bytes + h * tile::half_bytes), map,
                     full, 64 * h, int(keys.begin), rows.kv_head, rows.batch);
  }

  const tensor_maps& maps_;
  typename tile::turn turn_;  // of this warp's keys or values
  int some_parity_ = 0;
};

/// The side of the warps that take items, and copy queries, whose rows may be anywhere.
template <class Element, int D> class wgmma_query_loader : wgmma_tile<Element, D> {
  using tile = wgmma_tile<Element, D>;
  using tile::at, tile::lane_;

 public:
  __device__ wgmma_query_loader(const hopper_lane& lane, const kernel::problem<Element>& p)
      : tile(lane), p_(p) {}

  /// The next item: described, once all have taken the last one, by one lane, which is told whether
  /// the one before that was asked for again, and says whether this is it.
  template <class Work, class Describe>
  __device__ const Work& describe_item(const Describe& describe) {
    if (lane_.warp() == tile::tile_warps) {  // the first of these
      lane_.await(at(tile::item_taken, 0), tile::item_parity_);
      const int next = tile::item_parity_ ^ 1, word = lane_.lane() % tile::overflow_words;
      const bool asked = lane_.any(tile::overflow_word(next, word) != 0);
      bool again = false;
      if (lane_.lane() == 0) again = describe(tile::template work<Work>(next), asked);
      if (asked && !lane_.any(again)) tile::overflow_word(next, word) = 0;
      lane_.warp_barrier();
      if (lane_.lane() == 0) lane_.arrive(at(tile::item_told, 0));
      lane_.warp_barrier();
    }
    return tile::template await_told<Work>();
  }
  __device__ void copy(const kernel::tile_rows& rows) const {
    constexpr int pieces = D / 8, rows_at_once = tile::query_threads / pieces;
    const int thread = lane_.thread() % tile::query_threads;
    const int c = thread % pieces, first = thread / pieces;
    const int queries = tile::queries + tile::item_parity_ * tile::queries_bytes;
    const int count = 8 * c < p_.head_size() ? rows.count : 0;
    const auto copy_rows = [&](const auto& copy_row) {
      kernel::row_steps<const Element> row(p_.q, rows, first, rows_at_once);
      DELTA_ATTENTION_NO_UNROLL
      for (int r = first; r < tile::tile_rows; r += rows_at_once, ++row)
        copy_row(tile::place(queries, r, c), r < count ? *row + 8 * c : nullptr);
    };
    if (p_.query_factor() < 0)
      copy_rows([&](int to, const Element* from) {
        const auto* piece = static_cast<const words4*>(static_cast<const void*>(from));
        lane_.shared_store(to, piece == nullptr ? words4{} : negated(lane_.load(piece)));
      });
    else
      copy_rows([&](int to, const Element* from) { lane_.copy_async(to, from, from != nullptr); });
  }
  /// Tells where the item's rows go, and has what is added to them brought nearer.
  template <class Epilogue>
  __device__ void tell_places(const kernel::tile_rows& rows, int split,
                              const Epilogue& epilogue) const {
    DELTA_ATTENTION_NO_UNROLL
    for (int r = lane_.thread() % tile::query_threads; r < tile::tile_rows;
         r += tile::query_threads) {
      kernel::place_of<Epilogue> to{};
      if (r < rows.count) to = epilogue.place(rows, r, split);
      tile::template row_place<kernel::place_of<Epilogue>>(r) = to;
      if (to.added != nullptr) {
        DELTA_ATTENTION_UNROLL
        for (int c = 0; c < D; c += 128 / int(sizeof(*to.added)))
          if (c < p_.value_size()) lane_.prefetch(to.added + c);
      }
    }
  }
  __device__ void announce() const {
    lane_.commit_copies();
    lane_.template wait_copies<0>();
    lane_.publish();
    lane_.arrive(at(tile::queries_full, 0));
  }

 private:
  const kernel::problem<Element>& p_;
};

}  // namespace delta_attention::arch
#endif
