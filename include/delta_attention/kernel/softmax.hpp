#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/tensor/element.hpp>

#include <type_traits>

namespace delta_attention::kernel {

// Logarithms are to the base 2 inside a pass: the hardware's exponential is 2^x.
inline constexpr double log2_e = 1.4426950408889634, ln_2 = 0.6931471805599453;

/// The maximum of a row that has seen nothing yet: the lowest finite number, relative to which a
/// hidden score, -infinity, weighs nothing.
template <class T> inline constexpr T no_maximum = -Kokkos::Experimental::finite_max_v<T>;

/// A row may keep the maximum of its first tile, instead of following the largest score, as long as
/// its sum, or each lane's part of it, stays below this: then neither the sum nor the weighted sum
/// of values up to 2^90 leaves a float's range.
inline constexpr float most_sum = 0x1p32f;
/// Do atoms whose weights are such elements do so, and compute a row again whose sum became too
/// large? Weights of float16 end at 2^16, which a trained model passes so often that it would cost
/// more than it saves (docs/performance.md, "A group's warps together").
template <class Element> inline constexpr bool keeps_maxima = !std::is_same_v<Element, float16>;

/// The online softmax of one panel: the sum of 2^(score - maximum) of each row so far, and the
/// maximum that it is relative to. RowValues is one number a row, however an atom holds it;
/// raised(old, new) is their maximum, or may stay with an old one that is not far below, which
/// saves rescaling what was summed.
template <class RowValues> struct online_softmax {
  RowValues maximum, sum;

  /// Takes in the maxima of a new tile; returns the factor for everything that was summed before.
  KOKKOS_INLINE_FUNCTION RowValues raise(const RowValues& tile_maximum) {
    const RowValues old = maximum;
    maximum = raised(old, tile_maximum);
    return exp2(old - maximum);
  }
  /// Takes in a tile with these maxima, whose weights exponentials(maximum) sums up; returns
  /// raise's factor.
  template <class Exponentials>
  KOKKOS_INLINE_FUNCTION RowValues take(const RowValues& tile_maximum,
                                        const Exponentials& exponentials) {
    const RowValues factor = raise(tile_maximum);
    sum = sum * factor + exponentials(maximum);
    return factor;
  }
};

/// What the statistics of a finished row come to: output = factor * weighted sum.
template <class T> struct row_result {
  T factor, lse;
};

template <class T> KOKKOS_INLINE_FUNCTION row_result<T> finish_row(T maximum, T sum) {
  if (!(sum > 0))
    return {sum != sum ? sum : T(0), sum != sum ? sum : -Kokkos::Experimental::infinity_v<T>};
  return {T(1) / sum, (maximum + Kokkos::log2(sum)) * T(ln_2)};
}

/// Adds a learned sink logit to the denominator of a row, unless it is -infinity; a row that sees
/// no key stays as it is.
template <class T> KOKKOS_INLINE_FUNCTION row_result<T> with_sink(row_result<T> r, T logit) {
  constexpr T nothing = -Kokkos::Experimental::infinity_v<T>;
  if (logit == nothing || r.lse == nothing) return r;
  const T top = r.lse > logit ? r.lse : logit;
  const T keys = Kokkos::exp(r.lse - top), all = keys + Kokkos::exp(logit - top);
  // The share is not exp(r.lse - lse), which would carry the rounding of a large lse.
  return {r.factor * (keys / all), top + Kokkos::log(all)};
}

}  // namespace delta_attention::kernel
