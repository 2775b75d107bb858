#pragma once

#include <delta_attention/arch/lane_values.hpp>
#include <delta_attention/arch/words.hpp>
#include <delta_attention/kernel/epilogue.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>
#include <delta_attention/mask/algebra.hpp>

#include <cstdint>

namespace delta_attention::arch {

/// The rows that a wave carries in the fragments of AMD's matrix instructions of T rows (32 or 16),
/// and everything between their two products. Transposed (S^T = K Q^T, O^T += V^T P^T) all that a
/// lane holds is of one row, lane % T. The lanes of a row share its keys and channels: of every
/// `step` of them part lane / T has four, from 4 (lane / T) on. So four weights of a lane are, as
/// they lie, its operand of the second product.
template <class Element, int T, int Keys, int Channels, class Lane> class mfma_panel {
 public:
  using row_values = lane_values<1, Lane>;
  static constexpr int parts = Lane::lanes / T, step = 4 * parts, steps = T / step;
  using fragment = typename Lane::template registers<4 * steps>;

  fragment scores[Keys / T], output[Channels / T];
  words2 weights[Keys / step];

  KOKKOS_FUNCTION mfma_panel(const Lane& lane, float query_factor)
      : lane_(lane), factor_(larger(Kokkos::fabs(query_factor), 0x1p-126f)) {}

  static KOKKOS_FUNCTION int row(int lane) { return lane % T; }
  /// Key or channel of element e of a fragment, within its T.
  static KOKKOS_FUNCTION int column(int lane, int e) { return e / 4 * step + lane / T * 4 + e % 4; }

  KOKKOS_FUNCTION void clear() {
    for_each(output, [](float) { return 0.f; });
    softmax_ = {{{kernel::no_maximum<float>}}, {{0.f}}};
  }
  /// Takes over products made with queries of the factor's sign. A score is a product with
  /// score_factor_, which is positive: the largest product is the largest score, and a hidden
  /// product of -infinity a hidden score.
  KOKKOS_FUNCTION void begin() { score_factor_ = factor_; }
  KOKKOS_FUNCTION void softcap(float c) {
    const float scale = c * float(kernel::log2_e);
    for_each(scores, [&](float s) { return scale * Kokkos::tanh(s * score_factor_); });
    score_factor_ = 1.f;
  }
  /// `first` is the panel's first row in the tile.
  template <class Mask>
  KOKKOS_FUNCTION void hide(int first, const kernel::tile_rows& rows, mask::row_block block,
                            mask::key_range keys, const Mask& m) {
    const int r = first + row(lane_.lane()), in = r < rows.count ? r : rows.count - 1;
    const auto visible = within(m, block, keys);
    const auto one = visible.row(rows.batch, rows.head(in), rows.position(in), keys.begin);
    DELTA_ATTENTION_UNROLL
    for (int w = 0; w < Keys / 32; ++w) {
      const int left = int(keys.size()) - 32 * w;  // no mask knows keys beyond
      show(w, mask::word_of(one, 32 * w, left) & mask::bits_below(left));
    }
  }
  /// Weights from scores, which the statistics take in.
  KOKKOS_FUNCTION void weigh() {
    factor_of_sums_ = softmax_.take(
        largest(), [&](const row_values& reference) { return exponentials(reference); });
  }
  /// What was summed before, to what weigh() has made the reference.
  KOKKOS_FUNCTION void rescale() {
    if (lane_.any(!factor_of_sums_.all_are(1.f)))
      for_each(output, [&](float x) { return x * factor_of_sums_.v[0]; });
  }
  /// Finished rows; `output` is spent.
  template <class Epilogue>
  KOKKOS_FUNCTION void store(int first, const kernel::tile_rows& rows, int split, int value_size,
                             const Epilogue& epilogue) {
    const float sum = over_parts(softmax_.sum.v[0], [](float x, float y) { return x + y; });
    const int r = first + row(lane_.lane());
    if (r >= rows.count) return;
    const auto place = epilogue.place(rows, r, split);
    const auto result = place.result(softmax_.maximum.v[0], sum);
    if (place.lse != nullptr) lane_.store(place.lse, result.lse);
    const auto to = place.ends(result);
    if (to.out == nullptr) return;
    for_each(output, [&](float x) { return to.scaled(x); });
    if (to.added != nullptr) add(to.added, value_size);
    using value = typename decltype(to)::value;
    DELTA_ATTENTION_UNROLL
    for (int c = 0; c < Channels / T; ++c) {
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 4 * steps; e += 4) {
        const int channel = T * c + column(lane_.lane(), e);
        value four[4];
        DELTA_ATTENTION_UNROLL
        for (int i = 0; i < 4; ++i) four[i] = value(output[c].get(e + i));
        if (channel < value_size) lane_.store(to.out + channel, four);
      }
    }
  }

 private:
  // Weights from scores; returns their sums over the lane's keys.
  KOKKOS_FUNCTION row_values exponentials(const row_values& reference) {
    float sum[2] = {};  // even and odd keys
    DELTA_ATTENTION_UNROLL
    for (int b = 0; b < Keys / T; ++b) {
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 4 * steps; e += 2) {
        float w[2] = {scores[b].get(e), scores[b].get(e + 1)};
        Lane::multiply_add(w, score_factor_, -reference.v[0]);
        DELTA_ATTENTION_UNROLL
        for (int i = 0; i < 2; ++i) w[i] = Lane::exp2(w[i]);
        Lane::add(sum, w);
        weights[b * steps + e / 4].v[e % 4 / 2] = Lane::template pack<Element>(w[0], w[1]);
      }
    }
    return {{sum[0] + sum[1]}};
  }
  // Adds a row to the output. All of it is on its way before the first is used.
  KOKKOS_FUNCTION void add(const float* addend, int value_size) {
    words4 x[Channels / T * steps];
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < Channels / T * steps; ++i) {
      const int channel = T * (i / steps) + column(lane_.lane(), i % steps * 4);
      x[i] = lane_.template load<words4>(addend + (channel < value_size ? channel : 0));
    }
    lane_.phase();
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < Channels / T * steps; ++i) {
      fragment& sum = output[i / steps];
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int at = i % steps * 4 + e;
        sum.set(at, sum.get(at) + Kokkos::bit_cast<float>(x[i].v[e]));
      }
    }
  }
  // Replaces each of what a lane holds by f(x).
  template <int Blocks, class F>
  static KOKKOS_FUNCTION void for_each(fragment (&x)[Blocks], const F& f) {
    DELTA_ATTENTION_UNROLL
    for (int b = 0; b < Blocks; ++b) {
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 4 * steps; ++e) x[b].set(e, f(x[b].get(e)));
    }
  }
  // Of the keys from 32 w on, only those with a bit in `word` keep their scores.
  KOKKOS_FUNCTION void show(int w, std::uint32_t word) {
    const std::uint32_t seen = word >> (lane_.lane() / T * 4);
    DELTA_ATTENTION_UNROLL
    for (int b = 0; b < 32 / T; ++b) {
      fragment& s = scores[w * (32 / T) + b];
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 4 * steps; ++e)
        s.set(e, seen >> (T * b + column(0, e)) & 1 ? s.get(e) : -infinity);
    }
  }
  // What all lanes of a row have, put together.
  template <class F> KOKKOS_FUNCTION float over_parts(float x, const F& both) const {
    DELTA_ATTENTION_UNROLL
    for (int mask = T; mask < Lane::lanes; mask *= 2) x = both(x, lane_.shuffle_xor(x, mask));
    return x;
  }
  KOKKOS_FUNCTION row_values largest() const {
    float x[2] = {-infinity, -infinity};
    DELTA_ATTENTION_UNROLL
    for (int b = 0; b < Keys / T; ++b) {
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 4 * steps; ++e) x[e % 2] = larger(x[e % 2], scores[b].get(e));
    }
    return {{over_parts(larger(x[0], x[1]), [](float a, float b) { return larger(a, b); }) *
             score_factor_}};
  }

  Lane lane_;
  float factor_, score_factor_ = 1;
  kernel::online_softmax<row_values> softmax_;
  row_values factor_of_sums_;
};

}  // namespace delta_attention::arch
