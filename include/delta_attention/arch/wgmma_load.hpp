#pragma once

#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/arch/wgmma_tile.hpp>
#include <delta_attention/arch/words.hpp>
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

  /// Tells the others of the next item, once all have taken the last one.
  template <class Work, class Describe>
  __device__ const Work& describe_item(const Describe& describe) {
    lane_.await(at(tile::item_taken, 0), tile::item_parity_);
    tile::item_parity_ ^= 1;
    Work& work = tile::template work<Work>();
    if (lane_.lane() == 0) {
      describe(work);
      lane_.arrive(at(tile::item_told, 0));
    }
    lane_.warp_barrier();
    return work;
  }
  template <class Work> __device__ const Work& take_item() {
    const Work& work = tile::template await_told<Work>();
    lane_.warp_arrives(at(tile::item_taken, 0));
    return work;
  }
  /// Which values of a tile count.
  template <class Wanted>
  __device__ typename tile::key_bits wanted_keys(int count, const Wanted& wanted) const {
    return tile::key_bits::where(lane_, count, wanted);
  }
  /// Keys of a tile; `info` is what the others shall know of it.
  template <class Info> __device__ void copy_keys(const kernel::tile_rows& rows, const Info& info) {
    copy(tile::keys_full, tile::keys_empty, tile::keys, tile::key_infos, maps_.keys, rows,
         info.keys, info);
  }
  template <class Info>
  __device__ void copy_values(const kernel::tile_rows& rows, mask::key_range keys,
                              const Info& info) {
    copy(tile::values_full, tile::values_empty, tile::values, tile::value_infos, maps_.values, rows,
         keys, info);
  }

 private:
  template <class Info>
  __device__ void copy(typename tile::barrier full, typename tile::barrier empty, int matrices,
                       int infos, const CUtensorMap& map, const kernel::tile_rows& rows,
                       mask::key_range keys, const Info& info) {
    static_assert(sizeof(Info) <= tile::info_bytes);
    lane_.await(at(empty, turn_.stage()), turn_.parity() ^ 1);
    if (lane_.lane() == 0) {
      lane_.shared_store(at(infos + turn_.stage() * tile::info_bytes), info);
      lane_.arrive_expecting(at(full, turn_.stage()), tile::matrix_bytes);
      DELTA_ATTENTION_UNROLL
      for (int h = 0; h < tile::halves; ++h)
        lane_.copy_box(at(matrices + turn_.stage() * tile::matrix_bytes + h * tile::half_bytes),
                       map, at(full, turn_.stage()), 64 * h, int(keys.begin), rows.kv_head,
                       rows.batch);
    }
    turn_.next();
  }

  const tensor_maps& maps_;
  typename tile::turn turn_;  // of this warp's keys or values
};

/// The side of the warps that copy queries, whose rows may be anywhere.
template <class Element, int D> class wgmma_query_loader : wgmma_tile<Element, D> {
  using tile = wgmma_tile<Element, D>;
  using tile::at, tile::lane_;

 public:
  __device__ wgmma_query_loader(const hopper_lane& lane, const kernel::problem<Element>& p)
      : tile(lane), p_(p) {}

  template <class Work> __device__ const Work& await_item() {
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
