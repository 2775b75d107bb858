#pragma once

#include <delta_attention/arch/lane_values.hpp>
#include <delta_attention/arch/words.hpp>
#include <delta_attention/kernel/epilogue.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>
#include <delta_attention/mask/algebra.hpp>

#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>

namespace delta_attention::arch {

/// The rows that a warp carries in the fragments of NVIDIA's matrix instructions, and everything
/// between their two products: mma.sync's and wgmma's accumulators lie alike. Of every 16 rows a
/// lane holds two, lane / 4 and 8 more, and of every 8 keys or channels the two from 2 (lane % 4)
/// on; so the weights of a tile are, as they lie, the operand of the second product.
template <class Element, int Blocks, int Keys, int Channels, class Lane> class mma_panel {
 public:
  using row_values = lane_values<2 * Blocks, Lane>;

  float scores[Blocks][Keys / 8][4], output[Blocks][Channels / 8][4];
  words4 weights[Blocks][Keys / 16];

  /// Products are made with queries of the factor's sign. A score is a product with score_factor_,
  /// which is positive: the largest product is the largest score, and a hidden product of -infinity
  /// a hidden score.
  KOKKOS_FUNCTION mma_panel(const Lane& lane, const kernel::problem<Element>& p)
      : lane_(lane),
        factor_(larger(Kokkos::fabs(p.query_factor()), 0x1p-126f)),
        score_factor_(p.softcap > 0 ? 1.f : factor_) {}

  KOKKOS_FUNCTION void clear_statistics() {
    looks_ = 1;
    softmax_ = {row_values::map([](int) { return kernel::no_maximum<float>; }),
                row_values::map([](int) { return 0.f; })};
    DELTA_ATTENTION_UNROLL
    for (std::int32_t& limit : limits_) limit = bits(-infinity);
  }
  KOKKOS_FUNCTION void clear_output() {
    for_each(output, [](int, int, int, float& x) { x = 0.f; });
  }
  KOKKOS_FUNCTION void softcap(float c) {
    const float scale = c * float(kernel::log2_e);
    for_each(scores, [&](int, int, int, float& s) { s = scale * Kokkos::tanh(s * factor_); });
  }
  /// `first` is the panel's first row in the tile. Of more than 32 keys two lanes ask for a row,
  /// each for half of them, and tell those that hold it.
  template <class Mask>
  KOKKOS_FUNCTION void hide(int first, const kernel::tile_rows& rows, mask::row_block block,
                            mask::key_range keys, const Mask& m) {
    constexpr int words = Keys / 32;
    static_assert(words == 1 || words % 2 == 0);
    const auto visible = within(m, block, keys);
    const auto of_mask = [&](int of_panel) {
      const int r = first + of_panel, in = r < rows.count ? r : rows.count - 1;
      return visible.row(rows.batch, rows.head(in), rows.position(in), keys.begin);
    };
    const auto ask = [&](const auto& one, int j) {
      const int left = int(keys.size()) - j;  // no mask knows keys beyond
      return mask::word_of(one, j, left) & mask::bits_below(left);
    };
    DELTA_ATTENTION_UNROLL
    for (int b = 0; b < Blocks; ++b) {
      if constexpr (words == 1) {
        show(2 * b, 0, ask(of_mask(row(2 * b)), 0));
        show(2 * b + 1, 0, ask(of_mask(row(2 * b + 1)), 0));
      } else {
        constexpr int half = words / 2;
        const auto one = of_mask(16 * b + lane_.lane() / 2);
        std::uint32_t mine[half];
        DELTA_ATTENTION_UNROLL
        for (int w = 0; w < half; ++w) mine[w] = ask(one, 32 * (lane_.lane() % 2 * half + w));
        DELTA_ATTENTION_UNROLL
        for (int i = 0; i < 2; ++i) {
          DELTA_ATTENTION_UNROLL
          for (int w = 0; w < words; ++w)
            show(2 * b + i, w, lane_.shuffle(mine[w % half], 2 * row(i) + w / half));
        }
      }
    }
  }
  /// Must fits() be asked? A row's reference is the maximum of the first tile in which it sees a
  /// key, and once all rows of the warp have theirs nobody looks: a tile's way from scores to
  /// weights is shorter without. Should one turn out to be too low, overflow() tells, and the row
  /// rises when it is computed again: then, as always where elements do not keep maxima, all warps
  /// look at all tiles.
  KOKKOS_FUNCTION bool looks() const { return looks_ != 0; }
  /// Can the references of the warp's rows stay? Where a row has none yet or a weight would pass
  /// 2^8, one must rise; few tiles have that. To see it takes half of the instructions of maxima,
  /// and no exchange between lanes: floats compare as their bits do as integers, but for two
  /// negative ones. (A NaN is above every limit or below all products; either way its row becomes
  /// NaN.)
  KOKKOS_FUNCTION bool fits() const {
    // Of each row two maxima, all side by side: none waits for the one before.
    std::int32_t top[2 * Blocks][2];
    DELTA_ATTENTION_UNROLL
    for (int n = 0; n < Keys / 8; ++n) {
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < 2 * Blocks; ++i) {
        const float(&s)[4] = scores[i / 2][n];
        std::int32_t& t = top[i][n % 2];
        t = Lane::largest(n < 2 ? -1 : t,  // -1 for all negative products
                          bits(s[i % 2 * 2]), bits(s[i % 2 * 2 + 1]));
      }
    }
    bool above = false;
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < 2 * Blocks; ++i)
      above = above | (top[i][0] > limits_[i]) | (top[i][1] > limits_[i]);
    return !lane_.any(above);
  }
  /// Gives rows their references, and lets those rise that are set in `rising`, a bit for each of
  /// the lane's rows. Returns the factors of what was summed before, for rescale(), which is to
  /// `follow` where rows may rise: a row without a reference has no sum.
  KOKKOS_FUNCTION row_values raise(bool follow, std::uint32_t rising) {
    const auto settled = [&](int i) {
      return !(rising >> i & 1) && softmax_.maximum.v[i] != kernel::no_maximum<float>;
    };
    row_values top = largest();
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < 2 * Blocks; ++i) top.v[i] = settled(i) ? softmax_.maximum.v[i] : top.v[i];
    const row_values factor = softmax_.raise(top);
    softmax_.sum = softmax_.sum * factor;
    bool all_settled = true;
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < 2 * Blocks; ++i) {
      constexpr std::int32_t none = std::numeric_limits<std::int32_t>::max();
      limits_[i] = settled(i)
                       ? none
                       : bits((softmax_.maximum.v[i] + row_values::most_above) / score_factor_);
      all_settled = all_settled & settled(i);
    }
    looks_ = lane_.uniform(follow || lane_.any(!all_settled));
    return factor;
  }
  KOKKOS_FUNCTION void rescale(const row_values& factor) {
    for_each(output, [&](int m, int, int e, float& x) { x *= factor.v[2 * m + e / 2]; });
  }
  /// A bit for each lane whose part of the sum of its row i is too large, or NaN.
  KOKKOS_FUNCTION std::uint32_t overflow(int i) const {
    return lane_.ballot(!(softmax_.sum.v[i] < kernel::most_sum));
  }
  /// Of such bits: is one of the lanes that share the row set?
  KOKKOS_FUNCTION std::uint32_t of_row(std::uint32_t lanes) const {
    return (lanes >> lane_.lane() / 4 * 4 & 15) != 0;
  }
  /// Weights in place of scores, which the statistics take in; of the keys Begin <= j < End. A step
  /// of fewer than all begins when the first weights of the one before are there.
  template <int Begin = 0, int End = Keys, int Step = Keys> KOKKOS_FUNCTION void exponentials() {
    const row_values& reference = softmax_.maximum;
    row_values from = reference, sum[2] = {};  // of even and odd keys
    for_each<Begin / 8, End / 8>(scores, [&](int m, int n, int e, float& s) {
      const int i = 2 * m + e / 2;
      if constexpr (Step < Keys)
        if (n > 0 && n % (Step / 8) == 0 && e % 2 == 0)
          from.v[i] = lane_.after(reference.v[i], scores[m][n - Step / 8][e]);
      s = Lane::exp2(Kokkos::fma(s, score_factor_, -from.v[i]));
      sum[e % 2].v[i] += s;
    });
    softmax_.sum = softmax_.sum + (sum[0] + sum[1]);
  }
  /// Weights to the registers that the second product reads.
  template <int Begin = 0, int End = Keys> KOKKOS_FUNCTION void pack_weights() {
    static_assert(Begin % 16 == 0 && End % 16 == 0);
    DELTA_ATTENTION_UNROLL
    for (int m = 0; m < Blocks; ++m) {
      DELTA_ATTENTION_UNROLL
      for (int n = Begin / 8; n < End / 8; ++n) {
        DELTA_ATTENTION_UNROLL
        for (int half = 0; half < 2; ++half)
          weights[m][n / 2].v[n % 2 * 2 + half] =
              Lane::template pack<Element>(scores[m][n][2 * half], scores[m][n][2 * half + 1]);
      }
    }
  }
  /// Finished rows; `output` is spent.
  template <class Epilogue>
  KOKKOS_FUNCTION void store(int first, const kernel::tile_rows& rows, int split, int value_size,
                             const Epilogue& epilogue) {
    const auto store_one = [&]<int Row>(std::integral_constant<int, Row>) {
      const int r = first + row(Row);
      kernel::place_of<Epilogue> place{};
      if (r < rows.count) place = epilogue.place(rows, r, split);
      const auto to = destination_of<Row>(place);
      store_sums<Row>(to, value_size, [&](int c) { return added_to(to, c, value_size); });
    };
    // (Not a loop: compilers find one too long to unroll.)
    [&]<int... Row>(std::integer_sequence<int, Row...>) {
      (store_one(std::integral_constant<int, Row>{}), ...);
    }(std::make_integer_sequence<int, 2 * Blocks>{});
  }

  /// The i-th row of a lane in the panel.
  KOKKOS_FUNCTION int row(int i) const { return i / 2 * 16 + i % 2 * 8 + lane_.lane() / 4; }
  /// Two neighbouring channels.
  struct two {
    alignas(8) float v[2];
  };
  /// What a lane knows of one of its rows before the last products are there: where it goes, and
  /// the lane's channels of what is added to it.
  template <class Destination> struct row_end {
    Destination to;
    two added[Channels / 8];
  };
  template <int Row, class Place>
  KOKKOS_FUNCTION auto begin_row(const Place& place, int value_size) const {
    const auto to = destination_of<Row>(place);
    row_end<std::decay_t<decltype(to)>> end{to, {}};
    if (to.added != nullptr) {
      DELTA_ATTENTION_UNROLL
      for (int c = 0; c < Channels / 8; ++c) end.added[c] = added_to(to, c, value_size);
    }
    return end;
  }
  template <int Row, class Destination>
  KOKKOS_FUNCTION void store_row(const row_end<Destination>& end, int value_size) {
    store_sums<Row>(end.to, value_size, [&](int c) { return end.added[c]; });
  }

 private:
  // Of the lane's row i those of 32 scores whose bits are not set are hidden.
  KOKKOS_FUNCTION void show(int i, int word, std::uint32_t seen) {
    seen >>= lane_.lane() % 4 * 2;  // the lane's own keys are 2 (lane % 4) + 8 n and the next
    DELTA_ATTENTION_UNROLL
    for (int n = 0; n < 4; ++n) {
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 2; ++e) {
        float& s = scores[i / 2][4 * word + n][i % 2 * 2 + e];
        s = seen >> (8 * n + e) & 1 ? s : -infinity;
      }
    }
  }
  static KOKKOS_FUNCTION std::int32_t bits(float x) { return Kokkos::bit_cast<std::int32_t>(x); }
  template <int Row, class Place> KOKKOS_FUNCTION auto destination_of(const Place& place) const {
    float sum = softmax_.sum.v[Row];  // a lane's own keys'
    sum += lane_.shuffle_xor(sum, 1);
    sum += lane_.shuffle_xor(sum, 2);
    return place.finish(softmax_.maximum.v[Row], sum);
  }
  // Of the lane's channels of group c what is added; no branch, behind which one read would wait
  // for the other.
  template <class Destination>
  KOKKOS_FUNCTION two added_to(const Destination& to, int c, int value_size) const {
    const int channel = 8 * c + lane_.lane() % 4 * 2;
    return lane_.load(
        reinterpret_cast<const two*>(to.added + (channel < value_size ? channel : 0)));
  }
  // added(c): what is added to the lane's channels of group c.
  template <int Row, class Destination, class Added>
  KOKKOS_FUNCTION void store_sums(const Destination& to, int value_size, const Added& added) {
    using value = typename Destination::value;
    const auto of_row = [&](int c, int e) -> float& { return output[Row / 2][c][Row % 2 * 2 + e]; };
    DELTA_ATTENTION_UNROLL
    for (int c = 0; c < Channels / 8; ++c) {
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 2; ++e) of_row(c, e) = to.scaled(of_row(c, e));
    }
    if (to.added != nullptr) {
      DELTA_ATTENTION_UNROLL
      for (int c = 0; c < Channels / 8; ++c) {
        const two x = added(c);
        DELTA_ATTENTION_UNROLL
        for (int e = 0; e < 2; ++e) of_row(c, e) += x.v[e];
      }
    }
    quad_row<Lane, value, Channels> finished(lane_);
    finished.gather(of_row);
    if (to.out != nullptr) finished.store(to.out, value_size);
  }

  // f(block, group of eight columns, register, x) for all that a lane holds, or some groups of it.
  template <int Groups, class F>
  static KOKKOS_FUNCTION void for_each(float (&x)[Blocks][Groups][4], const F& f) {
    for_each<0, Groups>(x, f);
  }
  template <int First, int End, int Groups, class F>
  static KOKKOS_FUNCTION void for_each(float (&x)[Blocks][Groups][4], const F& f) {
    DELTA_ATTENTION_UNROLL
    for (int m = 0; m < Blocks; ++m) {
      DELTA_ATTENTION_UNROLL
      for (int n = First; n < End; ++n) {
        DELTA_ATTENTION_UNROLL
        for (int e = 0; e < 4; ++e) f(m, n, e, x[m][n][e]);
      }
    }
  }
  KOKKOS_FUNCTION row_values largest() const {
    // All rows side by side, and even and odd keys: so many maxima that none waits for the last.
    row_values x[2];
    DELTA_ATTENTION_UNROLL
    for (int m = 0; m < Blocks; ++m) {
      DELTA_ATTENTION_UNROLL
      for (int n = 0; n < Keys / 8; ++n) {
        DELTA_ATTENTION_UNROLL
        for (int e = 0; e < 4; ++e) {
          float& y = x[e % 2].v[2 * m + e / 2];
          y = n == 0 ? scores[m][n][e] : larger(y, scores[m][n][e]);
        }
      }
    }
    return row_values::map([&](int i) {
      const float mine = larger(x[0].v[i], x[1].v[i]),
                  two = larger(mine, lane_.shuffle_xor(mine, 1));
      return larger(two, lane_.shuffle_xor(two, 2)) * score_factor_;
    });
  }

  Lane lane_;
  int looks_ = 1;
  float factor_, score_factor_;
  kernel::online_softmax<row_values> softmax_;
  // Bits of the largest product of each row that needs no other reference. A negative one's are
  // below -1: such a row looks at its maxima in every tile.
  std::int32_t limits_[2 * Blocks];
};

}  // namespace delta_attention::arch
