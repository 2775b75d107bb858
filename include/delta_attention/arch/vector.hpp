#pragma once

// One vector of float on the host, as wide as the compiler's target has it, and the verbs on it.
// GNU vectors: GCC and Clang have them; nvcc's front end does not take all of their operations.
#if defined(__GNUC__) && !defined(__CUDACC__)
#define DELTA_ATTENTION_HAS_SIMD 1

#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/tensor/element.hpp>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#define DELTA_ATTENTION_INLINE inline __attribute__((always_inline))

namespace delta_attention::arch {

#if defined(__AVX512F__)
inline constexpr int vector_width = 16;
#elif defined(__AVX__)
inline constexpr int vector_width = 8;
#else
inline constexpr int vector_width = 4;
#endif

inline std::string simd_description() {
  return "simd (" + std::to_string(vector_width) + " floats a vector)";
}

typedef float vector __attribute__((vector_size(4 * vector_width)));
typedef std::int32_t vector_bits __attribute__((vector_size(4 * vector_width)));
typedef std::uint16_t half_bits __attribute__((vector_size(2 * vector_width)));

DELTA_ATTENTION_INLINE vector load(const float* p) {
  vector r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
DELTA_ATTENTION_INLINE void save(float* p, vector v) {
  __builtin_memcpy(p, &v, sizeof v);
}
DELTA_ATTENTION_INLINE vector broadcast(float x) {
  return x - vector{};
}
DELTA_ATTENTION_INLINE vector max(vector a, vector b) {
  return a < b ? b : a;
}

/// 2^x for x <= 126: a polynomial of degree 5 on [-1/2, 1/2], relative error 2.1e-7, of which 8e-8
/// are the polynomial's and the rest its roundings (tests/test_vector.cpp). Below -126 the result
/// is 0: no denormals arise, and the weight of a hidden key is nothing, however large its value.
/// NaN stays NaN.
DELTA_ATTENTION_INLINE vector exp2(vector power) {
#if defined(__AVX512DQ__)
  // What is left of x beside the nearest integer, and scaling by a power of 2, are instructions.
  const vector f =
      (vector)_mm512_reduce_ps((__m512)power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  const vector x = max(power, broadcast(-126.f));
  const vector shifted =
      x + 12582912.f;  // 1.5 * 2^23: the sum's last bits are x to the nearest integer
  const vector f = x - (shifted - 12582912.f);
#endif
  vector p = f * 0.0013276409766671562f + 0.009675540837322614f;
  p = p * f + 0.055507134659966643f;
  p = p * f + 0.24022119736217754f;
  p = p * f + 0.6931469669468828f;
  p = p * f + 1.0000000716508628f;
#if defined(__AVX512DQ__)
  return (vector)_mm512_maskz_scalef_ps(
      _mm512_cmp_ps_mask((__m512)power, (__m512)broadcast(-126.f), _CMP_NLT_UQ), (__m512)p,
      (__m512)(power - f));
#else
  const vector r = std::bit_cast<vector>(std::bit_cast<vector_bits>(p) +
                                         (std::bit_cast<vector_bits>(shifted) << 23));
  return power < -126.f ? broadcast(0.f) : r;
#endif
}
/// tanh(x), relative error some 1e-7: near 0 by its Taylor series, since (1 - e) / (1 + e) cancels
/// there.
DELTA_ATTENTION_INLINE vector tanh(vector x) {
  const vector magnitude = x < 0.f ? -x : x, square = x * x;
  vector near = square * (21844.f / 6081075) - 1382.f / 155925;
  near = near * square + 62.f / 2835;
  near = near * square - 17.f / 315;
  near = near * square + 2.f / 15;
  near = near * square - 1.f / 3;
  near = near * square * x + x;
  const vector e = exp2(magnitude * -2.8853900817779268f),
               t = (1.f - e) / (1.f + e);  // e = exp(-2 |x|)
  return magnitude < 0.5f ? near : x < 0.f ? -t : t;
}

/// One number for each of the N * vector_width rows of a panel.
template <int N> struct row_vectors {
  vector v[N];

  /// f(0), f(1), ... as the vectors of a row_vectors.
  template <class F> static DELTA_ATTENTION_INLINE row_vectors map(const F& f) {
    row_vectors r;
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < N; ++i) r.v[i] = f(i);
    return r;
  }
  static DELTA_ATTENTION_INLINE row_vectors all(float x) {
    return map([&](int) { return broadcast(x); });
  }
  static DELTA_ATTENTION_INLINE row_vectors from(const float* p) {
    return map([&](int i) { return load(p + i * vector_width); });
  }
  DELTA_ATTENTION_INLINE void to(float* p) const {
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < N; ++i) save(p + i * vector_width, v[i]);
  }
  friend DELTA_ATTENTION_INLINE row_vectors operator+(const row_vectors& a, const row_vectors& b) {
    return map([&](int i) { return a.v[i] + b.v[i]; });
  }
  friend DELTA_ATTENTION_INLINE row_vectors operator-(const row_vectors& a, const row_vectors& b) {
    return map([&](int i) { return a.v[i] - b.v[i]; });
  }
  friend DELTA_ATTENTION_INLINE row_vectors operator*(const row_vectors& a, const row_vectors& b) {
    return map([&](int i) { return a.v[i] * b.v[i]; });
  }
  friend DELTA_ATTENTION_INLINE row_vectors max(const row_vectors& a, const row_vectors& b) {
    return map([&](int i) { return arch::max(a.v[i], b.v[i]); });
  }
  /// Weights up to 2^8 lose nothing: rescaling waits until a maximum has risen by more.
  friend DELTA_ATTENTION_INLINE row_vectors raised(const row_vectors& a, const row_vectors& b) {
    return map([&](int i) { return b.v[i] > a.v[i] + 8.f ? b.v[i] : a.v[i]; });
  }
  friend DELTA_ATTENTION_INLINE row_vectors exp2(const row_vectors& a) {
    return map([&](int i) { return arch::exp2(a.v[i]); });
  }
  friend DELTA_ATTENTION_INLINE row_vectors zero_if_infinite(const row_vectors& a) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    return map([&](int i) { return a.v[i] == -infinity ? broadcast(0.f) : a.v[i]; });
  }
  DELTA_ATTENTION_INLINE bool all_are(float x) const {
    float values[N * vector_width];
    to(values);
    bool same = true;
    for (float y : values) same = same & (y == x);
    return same;
  }
};

/// Rows x N vectors of accumulators.
template <int Rows, int N> struct fragment {
  vector v[Rows][N];

  DELTA_ATTENTION_INLINE void clear() {
    DELTA_ATTENTION_UNROLL
    for (int r = 0; r < Rows; ++r) {
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < N; ++i) v[r][i] = broadcast(0.f);
    }
  }
  /// v[r] += a[x][r] * b[x] over x < depth, a packed as [depth][Rows], b as [depth][N vectors]: the
  /// one product behind both S and O.
  DELTA_ATTENTION_INLINE void multiply_add(const float* a, const float* b, int depth) {
    fragment sum = *this;
#if defined(__clang__)
#pragma unroll 4
#else
#pragma GCC unroll 4
#endif
    for (int x = 0; x < depth; ++x) {
      const row_vectors<N> row = row_vectors<N>::from(b + std::ptrdiff_t(x) * N * vector_width);
      DELTA_ATTENTION_UNROLL
      for (int r = 0; r < Rows; ++r) {
        const vector value = broadcast(a[std::ptrdiff_t(x) * Rows + r]);
        DELTA_ATTENTION_UNROLL
        for (int i = 0; i < N; ++i) sum.v[r][i] += value * row.v[i];
      }
    }
    *this = sum;
  }
};

// Eight channels, of which every head has a multiple.
typedef float vector8 __attribute__((vector_size(32)));
typedef std::uint32_t bits8 __attribute__((vector_size(32)));
typedef std::uint16_t half_bits8 __attribute__((vector_size(16)));

template <class Element> DELTA_ATTENTION_INLINE vector8 load8(const Element* p) {
  vector8 r;
  if constexpr (std::is_same_v<Element, float>) {
    __builtin_memcpy(&r, p, sizeof r);
  } else if constexpr (std::is_same_v<Element, bfloat16>) {
    half_bits8 x;
    __builtin_memcpy(&x, p, sizeof x);
    r = std::bit_cast<vector8>(__builtin_convertvector(x, bits8) << 16);
  } else
    r = vector8{float(p[0]), float(p[1]), float(p[2]), float(p[3]),
                float(p[4]), float(p[5]), float(p[6]), float(p[7])};
  return r;
}
DELTA_ATTENTION_INLINE void save8(float* p, vector8 v) {
  __builtin_memcpy(p, &v, sizeof v);
}

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

/// A whole vector of elements as floats.
template <class Element> DELTA_ATTENTION_INLINE vector load_elements(const Element* p) {
  if constexpr (std::is_same_v<Element, float>) {
    return load(p);
  } else if constexpr (std::is_same_v<Element, bfloat16>) {
    half_bits x;
    __builtin_memcpy(&x, p, sizeof x);
#if defined(__AVX512F__)  // one instruction; GCC 14 makes four of the conversion below
    const vector_bits wide = (vector_bits)_mm512_cvtepu16_epi32((__m256i)x);
#else
    const vector_bits wide = __builtin_convertvector(x, vector_bits);
#endif
    return std::bit_cast<vector>(wide << 16);
  } else {
    float x[vector_width];
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < vector_width; ++i) x[i] = float(p[i]);
    return load(x);
  }
}

/// And back, rounded as the elements' own conversion does it.
template <class Element> DELTA_ATTENTION_INLINE void save_elements(Element* p, vector v) {
  if constexpr (std::is_same_v<Element, float>) {
    save(p, v);
  } else if constexpr (std::is_same_v<Element, bfloat16>) {
    typedef std::uint32_t words __attribute__((vector_size(4 * vector_width)));
    const words u = std::bit_cast<words>(v), rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
    const half_bits x = __builtin_convertvector(
        (u & 0x7fffffff) > 0x7f800000 ? (u >> 16 | 64) : rounded, half_bits);
    __builtin_memcpy(p, &x, sizeof x);
  } else {
    float x[vector_width];
    save(x, v);
    for (int i = 0; i < vector_width; ++i) p[i] = Element(x[i]);
  }
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
DELTA_ATTENTION_INLINE void lane_sums(const vector (&v)[4][4], float (&sums)[4][4]) {
  constexpr int at_once = vector_width / 4;  // as many j as a vector has quarters
  DELTA_ATTENTION_UNROLL
  for (int j = 0; j < 4; j += at_once) {
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
