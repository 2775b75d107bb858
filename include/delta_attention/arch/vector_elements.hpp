#pragma once

#include <delta_attention/arch/vector.hpp>
#include <delta_attention/tensor/element.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)

#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>

// Between a tensor's elements and vectors of float: conversion, rows that become columns, and sums
// over lanes.
namespace delta_attention::arch {

/// The lower and the upper halves of a and b, their lanes in turns.
template <class Vector, int... I>
DELTA_ATTENTION_INLINE void interleave(const Vector& a, const Vector& b, Vector& lower,
                                       Vector& upper, std::integer_sequence<int, I...>) {
  constexpr int lanes = sizeof...(I);
  lower = __builtin_shufflevector(a, b, (I % 2 * lanes + I / 2)...);
  upper = __builtin_shufflevector(a, b, (I % 2 * lanes + (I + lanes) / 2)...);
}
/// Rows become their columns, one behind the other: each round puts a row's elements between those
/// of the row half of all rows away.
template <class Vector, int Rows> DELTA_ATTENTION_INLINE void transpose(Vector (&m)[Rows]) {
  constexpr int lanes = sizeof(Vector) / sizeof(float);
  static_assert(Rows >= 4 && Rows <= lanes && (Rows & (Rows - 1)) == 0);
  DELTA_ATTENTION_UNROLL
  for (int done = 1; done < Rows; done *= 2) {
    Vector next[Rows];
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < Rows / 2; ++i)
      interleave(m[i], m[i + Rows / 2], next[2 * i], next[2 * i + 1],
                 std::make_integer_sequence<int, lanes>{});
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < Rows; ++i) m[i] = next[i];
  }
}

/// As many parts of a vector as there are vectors: part i of vector j goes where part j of i was.
DELTA_ATTENTION_INLINE void exchange_parts(vector (&)[1]) {}
DELTA_ATTENTION_INLINE void exchange_parts(vector (&m)[2]) {
  constexpr int half = vector_width / 2;
  const auto halves = [&]<int... I>(std::integer_sequence<int, I...>) {
    const vector lower = __builtin_shufflevector(m[0], m[1], (I + I / half * half)...);
    m[1] = __builtin_shufflevector(m[0], m[1], (I + I / half * half + half)...);
    m[0] = lower;
  };
  halves(std::make_integer_sequence<int, vector_width>{});
}

typedef std::uint16_t half_bits __attribute__((vector_size(2 * vector_width)));

/// A whole vector of elements as floats.
template <class Element> DELTA_ATTENTION_INLINE vector load_elements(const Element* p) {
  if constexpr (std::is_same_v<Element, float>) {
    return load(p);
  } else {
    half_bits x;
    __builtin_memcpy(&x, p, sizeof x);
    if constexpr (std::is_same_v<Element, bfloat16>) {
      // One instruction, where there is; GCC 14 makes four of __builtin_convertvector.
#if defined(__AVX512F__)
      const vector_bits wide = (vector_bits)_mm512_cvtepu16_epi32((__m256i)x);
#elif defined(__AVX2__)
      const vector_bits wide = (vector_bits)_mm256_cvtepu16_epi32((__m128i)x);
#else
      const vector_bits wide = __builtin_convertvector(x, vector_bits);
#endif
      return std::bit_cast<vector>(wide << 16);
    } else {
      // One, too, of some ten.
#if defined(__AVX512F__)
      return (vector)_mm512_cvtph_ps((__m256i)x);
#elif defined(__F16C__)
      return (vector)_mm256_cvtph_ps((__m128i)x);
#else
      float each[vector_width];
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < vector_width; ++i) each[i] = float(p[i]);
      return load(each);
#endif
    }
  }
}

/// And back, rounded as the elements' own conversion does it (which bits a NaN has is open).
template <class Element> DELTA_ATTENTION_INLINE void save_elements(Element* p, vector v) {
  if constexpr (std::is_same_v<Element, float>) {
    save(p, v);
  } else if constexpr (std::is_same_v<Element, bfloat16>) {
    const vector_bits u = std::bit_cast<vector_bits>(v),
                      rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    const half_bits x = __builtin_convertvector(
        (u & 0x7fffffff) > 0x7f800000 ? (u >> 16 | 64) : rounded, half_bits);
    __builtin_memcpy(p, &x, sizeof x);
  } else {
#if defined(__AVX512F__)
    const auto x = _mm512_cvtps_ph((__m512)v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#elif defined(__F16C__)
    const auto x = _mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT);
#else
    Element x[vector_width];
    for (int i = 0; i < vector_width; ++i) x[i] = Element(v[i]);
#endif
    __builtin_memcpy(p, &x, sizeof x);
  }
}

/// f(c, count, load) for every vector of a row's channels: load(p) is what stands at p, `count`
/// channels from c on, with zeros behind the last of the row.
template <class Element, class F>
DELTA_ATTENTION_INLINE void for_each_vector(int channels, const F& f) {
  int c = 0;
  for (; c + vector_width <= channels; c += vector_width)
    f(c, std::integral_constant<int, vector_width>{},
      [](const Element* p) { return load_elements(p); });
  if (c < channels)
    f(c, channels - c, [left = channels - c](const Element* p) {
      Element x[vector_width] = {};
      for (int i = 0; i < left; ++i) x[i] = p[i];
      return load_elements(x);
    });
}

/// Lanes of a and of b added in pairs that lie `Span` apart: half as many of each, a's then b's, in
/// the whole vector or, where Span is below 4, in each of its quarters of four lanes.
template <int Span> DELTA_ATTENTION_INLINE vector fold(vector a, vector b) {
  constexpr int group = Span < 4 ? 4 : vector_width, half = group / 2;
  constexpr auto from = [](int lane) {
    const int in_half = lane % half;
    return lane % group / half * vector_width + lane / group * group + in_half / Span * 2 * Span +
           in_half % Span;
  };
  return [&]<int... I>(std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, from(I)...) +
           __builtin_shufflevector(a, b, (from(I) + Span)...);
  }(std::make_integer_sequence<int, vector_width>{});
}
/// sums[j][i]: the sum over the lanes of v[i][j].
template <int Count>
DELTA_ATTENTION_INLINE void lane_sums(const vector (&v)[4][Count], float (&sums)[Count][4]) {
  constexpr int at_once = vector_width / 4;  // as many j as a vector has quarters
  static_assert(Count % at_once == 0);
  DELTA_ATTENTION_UNROLL
  for (int j = 0; j < Count; j += at_once) {
    vector m[4];
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < 4; ++i) {
      if constexpr (at_once == 4)
        m[i] = fold<4>(fold<8>(v[i][0], v[i][1]), fold<8>(v[i][2], v[i][3]));
      else if constexpr (at_once == 2)
        m[i] = fold<4>(v[i][j], v[i][j + 1]);
      else
        m[i] = v[i][j];
    }
    save(sums[j], fold<1>(fold<2>(m[0], m[1]), fold<2>(m[2], m[3])));
  }
}

}  // namespace delta_attention::arch
#endif
