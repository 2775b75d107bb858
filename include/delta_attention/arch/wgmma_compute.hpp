#pragma once

#include <delta_attention/arch/wgmma_product.hpp>
#include <delta_attention/arch/wgmma_tile.hpp>
#include <delta_attention/kernel/softmax.hpp>
#include <delta_attention/mask/algebra.hpp>

#if defined(DELTA_ATTENTION_HAS_WGMMA)

namespace delta_attention::arch {

/// A computing warpgroup's side: 64 rows.
template <class Element, int D> class wgmma_consumer : wgmma_tile<Element, D> {
  using tile = wgmma_tile<Element, D>;
  using tile::at, tile::lane_;
  static constexpr int N = tile::tile_keys;

 public:
  using row_values = typename tile::row_values;

  __device__ wgmma_consumer(const hopper_lane& lane, const kernel::problem<Element>& p)
      : tile(lane), value_size_(p.value_size()), panel_(lane.group() - 1) {
    const float factor = p.query_factor();
    negative_ = factor < 0;
    factor_ = larger(Kokkos::fabs(factor), 0x1p-126f);
    if (panel_ == 1) pass_turn();  // the other group is first
  }
  __device__ int panel() const { return panel_; }

  /// The next item, when its queries are there.
  template <class Work> __device__ const Work& await_queries() {
    tile::item_parity_ ^= 1;
    lane_.await(at(tile::queries_full, 0), tile::item_parity_);
    return tile::template work<Work>();
  }
  /// Queries to registers, where they stay.
  __device__ void load_queries() {
    const int l = lane_.lane(), row = panel_ * 64 + lane_.warp() % 4 * 16 + l % 16;
    DELTA_ATTENTION_UNROLL
    for (int c = 0; c < D / 16; ++c)
      queries_[c] = lane_.load_matrices(tile::place(tile::queries, row, 2 * c + l / 16), false);
    lane_.warp_barrier();
    if (l == 0) lane_.arrive(at(tile::item_taken, 0));
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < D / 2; ++i) output_[i] = 0.f;
    softmax_ = {row_values::map([](int) { return -infinity; }),
                row_values::map([](int) { return 0.f; })};
  }

  template <class Info> __device__ const Info& await_keys() {
    const auto& turn = tile::keys_turn_;
    lane_.await(at(tile::keys_full, turn.stage), turn.parity);
    return tile::template kept<Info>(tile::key_infos + turn.stage * tile::info_bytes);
  }
  template <class Info> __device__ const Info& await_values() {
    const auto& turn = tile::values_turn_;
    lane_.await(at(tile::values_full, turn.stage), turn.parity);
    return tile::template kept<Info>(tile::value_infos + turn.stage * tile::info_bytes);
  }
  /// Zeros for the awaited values that are not wanted.
  __device__ void clear_values(const typename tile::key_bits& wanted) {
    const int r = lane_.thread() % tile::group_threads;
    if (!wanted[r]) {
      DELTA_ATTENTION_UNROLL
      for (int c = 0; c < D / 8; ++c)
        lane_.shared_store(
            tile::place(tile::values + tile::values_turn_.stage * tile::matrix_bytes, r, c),
            words4{});
    }
    lane_.publish();
    lane_.named_barrier(3 + panel_, tile::group_threads);
  }
  __device__ void take_turn() { lane_.named_barrier(1 + panel_, 2 * tile::group_threads); }
  __device__ void pass_turn() { lane_.named_arrive(1 + (panel_ ^ 1), 2 * tile::group_threads); }

  /// S = Q K^T of the keys that were awaited.
  __device__ void start_scores() {
    const std::uint64_t keys = descriptor(tile::keys, tile::keys_turn_.stage, 16);
    lane_.begin_products();
    DELTA_ATTENTION_UNROLL
    for (int c = 0; c < D / 16; ++c)
      warpgroup_product<Element, N, 0>(
          scores_, queries_[c], keys + ((c / 4 * tile::half_bytes + c % 4 * 32) >> 4), c > 0);
    lane_.commit_products();
  }
  /// Ends S, leaving `Pending` later products open; returns the row maxima.
  template <int Pending> __device__ row_values finish_scores(int count) {
    lane_.template wait_products<Pending>();
    lane_.settle(scores_);
    if (leads()) lane_.arrive(at(tile::keys_empty, tile::keys_turn_.stage));
    tile::keys_turn_.next();
    if (negative_) for_each_score([](int, float s) { return -s; });
    score_factor_ = factor_;
    if (count < N) for_each_score([&](int j, float s) { return j < count ? s : -infinity; });
    return largest();
  }
  __device__ row_values softcap(float c) {
    const float scale = c * float(kernel::log2_e);
    for_each_score(
        [&](int, float s) { return s == -infinity ? s : scale * Kokkos::tanh(s * factor_); });
    score_factor_ = 1.f;
    return largest();
  }
  template <class Mask>
  __device__ row_values hide(const kernel::tile_rows& rows, mask::row_block block,
                             mask::key_range keys, const Mask& m) {
    const int last = int(keys.size()) - 1;  // keys beyond it are hidden, and no mask knows them
    const auto visible = within(m, block, keys);
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < 2; ++i) {
      const int r = row(i), in = r < rows.count ? r : rows.count - 1;
      const auto one = visible.row(rows.batch, rows.head(in), rows.position(in), keys.begin);
      for_each_score_of(
          i, [&](int j, float s) { return one.sees(j < last ? j : last) ? s : -infinity; });
    }
    return largest();
  }
  /// Weights in place of scores; returns their sums over the lane's keys.
  __device__ row_values exponentials(const row_values& reference) {
    row_values sum[2] = {};
    DELTA_ATTENTION_UNROLL
    for (int n = 0; n < N / 8; ++n) DELTA_ATTENTION_UNROLL
    for (int e = 0; e < 4; ++e) {
      float& s = scores_[4 * n + e];
      s = hopper_lane::exp2(Kokkos::fma(s, score_factor_, -reference.v[e / 2]));
      sum[e % 2].v[e / 2] += s;
    }
    return sum[0] + sum[1];
  }
  /// Weights to the registers that the next product reads.
  __device__ void pack_weights() {
    DELTA_ATTENTION_UNROLL
    for (int k = 0; k < N / 16; ++k) DELTA_ATTENTION_UNROLL
    for (int x = 0; x < 4; ++x)
      weights_[k].v[x] =
          hopper_lane::template pack<Element>(scores_[8 * k + 2 * x], scores_[8 * k + 2 * x + 1]);
  }
  /// O += P V of the values that were awaited and the packed weights.
  __device__ void start_weighted_sum() {
    const std::uint64_t values =
        descriptor(tile::values, tile::values_turn_.stage, tile::half_bytes);
    lane_.settle(output_);
    lane_.begin_products();
    DELTA_ATTENTION_UNROLL
    for (int k = 0; k < N / 16; ++k)
      warpgroup_product<Element, D, 1>(output_, weights_[k], values + (k * 2048 >> 4), true);
    lane_.commit_products();
  }
  __device__ void finish_weighted_sum() {
    lane_.template wait_products<0>();
    lane_.settle(output_);
    if (leads()) lane_.arrive(at(tile::values_empty, tile::values_turn_.stage));
    tile::values_turn_.next();
  }
  __device__ void rescale(const row_values& factor) {
    if (!lane_.any(!factor.all_are(1.f))) return;
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < D / 2; ++i) output_[i] *= factor.v[i % 4 / 2];
  }
  __device__ kernel::online_softmax<row_values>& statistics() { return softmax_; }

  template <class Epilogue>
  __device__ void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) {
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < 2; ++i) {
      float sum = softmax_.sum.v[i];
      sum += lane_.shuffle_xor(sum, 1);
      sum += lane_.shuffle_xor(sum, 2);
      const int r = row(i);
      if (r >= rows.count) continue;
      const auto to = epilogue.row(rows, r, split, softmax_.maximum.v[i], sum);
      if (!to.wanted) continue;
      const bool fits = pairs_fit(to.out);
      DELTA_ATTENTION_UNROLL
      for (int c = 0; c < D / 8; ++c) {
        const int channel = 8 * c + lane_.lane() % 4 * 2;
        if (channel < value_size_)
          put_pair<hopper_lane>(to, channel, output_[4 * c + 2 * i], output_[4 * c + 2 * i + 1],
                                fits);
      }
    }
  }

 private:
  __device__ std::uint64_t descriptor(int first, int stage, int half) const {
    return matrix_descriptor(lane_.uniform(at(first) + stage * tile::matrix_bytes), half);
  }
  __device__ bool leads() const { return lane_.thread() % tile::group_threads == 0; }
  // The i-th row of a lane in the tile.
  __device__ int row(int i) const {
    return panel_ * 64 + lane_.warp() % 4 * 16 + lane_.lane() / 4 + 8 * i;
  }
  template <class F> __device__ void for_each_score(const F& f) {
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < 2; ++i) for_each_score_of(i, f);
  }
  // The same for the lane's i-th row.
  template <class F> __device__ void for_each_score_of(int i, const F& f) {
    const int first = lane_.lane() % 4 * 2;
    DELTA_ATTENTION_UNROLL
    for (int n = 0; n < N / 8; ++n) {
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 2; ++e) {
        float& s = scores_[4 * n + 2 * i + e];
        s = f(8 * n + first + e, s);
      }
    }
  }
  __device__ row_values largest() const {
    return row_values::map([&](int i) {
      float x = -infinity, y = -infinity;
      DELTA_ATTENTION_UNROLL
      for (int n = 0; n < N / 8; ++n) {
        x = larger(x, scores_[4 * n + 2 * i]);
        y = larger(y, scores_[4 * n + 2 * i + 1]);
      }
      x = larger(x, y);
      x = larger(x, lane_.shuffle_xor(x, 1));
      return larger(x, lane_.shuffle_xor(x, 2)) * score_factor_;
    });
  }

  int value_size_, panel_;
  bool negative_;
  float factor_, score_factor_ = 1;
  kernel::online_softmax<row_values> softmax_{};
  words4 queries_[D / 16], weights_[N / 16];
  float scores_[N / 2], output_[D / 2];
};

}  // namespace delta_attention::arch
#endif
