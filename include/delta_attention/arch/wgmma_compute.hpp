#pragma once

#include <delta_attention/arch/mma_panel.hpp>
#include <delta_attention/arch/wgmma_product.hpp>
#include <delta_attention/arch/wgmma_tile.hpp>

#if defined(DELTA_ATTENTION_HAS_WGMMA)

namespace delta_attention::arch {

/// A computing warpgroup's side: 64 rows.
template <class Element, int D> class wgmma_consumer : wgmma_tile<Element, D> {
  using tile = wgmma_tile<Element, D>;
  using tile::at, tile::lane_;
  static constexpr int N = tile::tile_keys, matrix_bytes = tile::matrix_bytes;

 public:
  using panel_type = mma_panel<Element, 1, N, D, hopper_lane>;  // a warp's 16 rows

  __device__ wgmma_consumer(const hopper_lane& lane, const kernel::problem<Element>& p)
      : tile(lane),
        panel_(lane, p),
        value_size_(p.value_size()),
        group_(lane.uniform(lane.group() - 1)),
        first_row_(group_ * tile::panel_rows + lane.warp() % 4 * 16) {
    if (group_ == tile::groups - 1) pass_turn();  // group 0 is first
  }
  /// Which of the tile's panels is the group's.
  __device__ int panel() const { return group_; }

  /// The next item, when its queries are there.
  template <class Work> __device__ const Work& await_item() {
    tile::item_parity_ ^= 1;
    lane_.await(at(tile::queries_full, 0), tile::item_parity_);
    return tile::template work<Work>(tile::item_parity_);
  }
  __device__ int uniform(int x) const { return lane_.uniform(x); }
  /// Tells that all of the item before is done.
  __device__ void take_item() { lane_.warp_arrives(at(tile::item_taken, 0)); }
  __device__ void clear_statistics() { panel_.clear_statistics(); }

  /// To wait for keys takes time even where they have come: a look before other work saves it. Of
  /// keys that have come, what they are; else 0.
  template <class Info> __device__ std::uint32_t look_for_keys() const {
    std::uint32_t is = 0;
    if (lane_.passed(at(tile::keys_full, turn_.stage()), turn_.parity())) is = keys_info<Info>().is;
    return is;
  }
  __device__ void look_for_values() {
    values_came_ = lane_.passed(at(tile::values_full, turn_.stage()), turn_.parity());
  }
  /// Were the values there at the last look?
  __device__ bool values_came() const { return values_came_; }
  __device__ void await_keys() const {
    lane_.await(at(tile::keys_full, turn_.stage()), turn_.parity());
  }
  __device__ void await_values() const {
    lane_.await(at(tile::values_full, turn_.stage()), turn_.parity());
  }
  /// What is told of the keys that have come.
  template <class Info> __device__ const Info& keys_info() const {
    return tile::template kept<Info>(tile::key_infos + turn_.stage() * tile::info_bytes);
  }
  /// Where the next products' operands lie.
  __device__ void aim() {
    queries_at_ =
        lane_.uniform(matrix_place(at(tile::queries + tile::item_parity_ * tile::queries_bytes +
                                      group_ * tile::panel_rows * 128),
                                   16));
    keys_at_ = lane_.uniform(matrix_place(at(tile::keys + turn_.stage() * matrix_bytes), 16));
  }
  __device__ void take_turn() { lane_.named_barrier(1 + group_, 2 * tile::group_threads); }
  __device__ void pass_turn() {
    lane_.named_arrive(1 + (group_ + 1) % tile::groups, 2 * tile::group_threads);
  }

  /// S = Q K^T of the keys that were awaited.
  __device__ void start_scores() {
    lane_.begin_products();
    DELTA_ATTENTION_UNROLL
    for (int c = 0; c < D / 16; ++c) {
      const int piece = c / 4 * tile::half_bytes + c % 4 * 32;
      shared_product<Element>(panel_.scores[0], matrix_descriptor(queries_at_, piece),
                              matrix_descriptor(keys_at_, piece), c > 0);
    }
    lane_.commit_products();
  }
  /// Ends S, but not the sum that was begun after it.
  __device__ void finish_scores() {
    lane_.template wait_products<1>();
    lane_.settle(panel_.scores[0]);
  }
  /// Others may come to where the keys of the scores were, and what is told of them.
  __device__ void free_keys() {
    lane_.warp_arrives(at(tile::keys_empty, turn_.stage()));
    turn_.next();
  }
  __device__ void softcap(float c) { panel_.softcap(c); }
  template <class Mask>
  __device__ void hide(const kernel::tile_rows& rows, mask::row_block block, mask::key_range keys,
                       const Mask& m) {
    panel_.hide(first_row_, rows, block, keys, m);
  }
  __device__ bool looks() const { return panel_.looks(); }
  __device__ bool fits() const { return panel_.fits(); }
  /// Does it for a warp of the group? Where sums follow they ask together, since they have to wait
  /// for their end together (PTX ISA, wgmma.wait_group), and all look at all tiles.
  __device__ bool any_of_group(bool x) const {
    return lane_.named_any(1 + tile::groups + group_, tile::group_threads, x);
  }
  __device__ void raise() { panel_.raise(false, 0); }
  __device__ void raise_with_sums() {
    const auto& lanes = tile::overflow(tile::item_parity_, warp());
    const std::uint32_t asked = panel_.of_row(lanes[0]) | panel_.of_row(lanes[1]) << 1;
    const auto factor = panel_.raise(true, tile::keeps_maxima ? asked : ~0u);
    finish_weighted_sum();
    panel_.rescale(factor);
  }
  /// Has the item come again after the next, if a row of it overflowed.
  __device__ void ask_again() const {
    const std::uint32_t lanes[] = {panel_.overflow(0), panel_.overflow(1)};
    if ((lanes[0] | lanes[1]) == 0 || lane_.lane() > 0) return;
    auto& told = tile::overflow(tile::item_parity_, warp());
    told[0] = lanes[0];
    told[1] = lanes[1];
  }
  template <int Half> __device__ void exponentials() {
    panel_.template exponentials<Half * N / 2, (Half + 1) * N / 2, tile::exponentials_at_once>();
  }
  template <int Half> __device__ void pack_weights() {
    panel_.template pack_weights<Half * N / 2, (Half + 1) * N / 2>();
  }
  /// Nothing is summed beside an item's first scores.
  __device__ void skip_weighted_sum() { lane_.commit_products(); }
  /// O = P V, or O += P V where `add`, of the values that were awaited and the packed weights.
  __device__ void start_weighted_sum(bool add) {
    // Values lie behind the keys of the same turn, and their descriptor has the distance of halves.
    const int values_at =
        keys_at_ + (tile::values - tile::keys) / 16 + (tile::half_bytes / 16 - 1) * 0x10000;
    lane_.settle(panel_.output[0]);
    lane_.begin_products();
    DELTA_ATTENTION_UNROLL
    for (int k = 0; k < N / 16; ++k)
      held_product<Element, D>(panel_.output[0], panel_.weights[0][k],
                               matrix_descriptor(values_at, k * 2048), k > 0 || add);
    lane_.commit_products();
  }
  __device__ void finish_weighted_sum() {
    lane_.template wait_products<0>();
    lane_.settle(panel_.output[0]);
  }
  /// Others may come to where the values of the last sum were, where there was one.
  __device__ void free_values() {
    lane_.warp_arrives(at(tile::values_empty, turn_.last().stage()));
  }

  /// Where the lane's two rows go; what is added to them is on its way.
  template <class Place> __device__ auto begin_store() const {
    return Kokkos::make_pair(
        panel_.template begin_row<0>(tile::template row_place<Place>(first_row_ + panel_.row(0)),
                                     value_size_),
        panel_.template begin_row<1>(tile::template row_place<Place>(first_row_ + panel_.row(1)),
                                     value_size_));
  }
  template <class Rows> __device__ void store(const Rows& ends) {
    panel_.template store_row<0>(ends.first, value_size_);
    panel_.template store_row<1>(ends.second, value_size_);
  }

 private:
  __device__ int warp() const { return lane_.warp() - 4; }  // of those that compute

  panel_type panel_;
  int value_size_, group_, first_row_;
  typename tile::turn turn_;  // of the keys, and the values, that come next
  int queries_at_ = 0, keys_at_ = 0;
  bool values_came_ = false;
};

}  // namespace delta_attention::arch
#endif
