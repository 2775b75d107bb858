#pragma once

// One vector of float on the host, as wide as the compiler's target has it, and the verbs on it.
// GNU vectors: GCC and Clang have them; nvcc's front end does not take all of their operations.
#if defined(__GNUC__) && !defined(__CUDACC__)
#define DELTA_ATTENTION_HAS_SIMD 1

#include <delta_attention/arch/unroll.hpp>

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__F16C__)
#include <immintrin.h>
#endif

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>

#define DELTA_ATTENTION_INLINE inline __attribute__((always_inline))

namespace delta_attention::arch {

#if defined(__AVX512F__)
inline constexpr int vector_width = 16;
#elif defined(__AVX__)
inline constexpr int vector_width = 8;
#else
inline constexpr int vector_width = 4;
#endif
#if defined(__x86_64__) && !defined(__AVX512F__)
inline constexpr int vector_registers = 16;
#else
inline constexpr int vector_registers = 32;
#endif

inline std::string simd_description() {
  return "simd (" + std::to_string(vector_width) + " floats a vector)";
}

typedef float vector __attribute__((vector_size(4 * vector_width)));
typedef std::uint32_t vector_bits __attribute__((vector_size(4 * vector_width)));

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

/// +0 in all lanes, not -0.
DELTA_ATTENTION_INLINE bool all_bits_are_zero(vector x) {
  std::uint64_t word[sizeof x / 8], any = 0;
  __builtin_memcpy(word, &x, sizeof x);
  DELTA_ATTENTION_UNROLL
  for (std::size_t i = 0; i < sizeof x / 8; ++i) any |= word[i];
  return any == 0;
}

/// 2^x for x <= 126: a polynomial of degree 5 on [-1/2, 1/2], relative error 1.7e-7 (1.8e-7 without
/// FMA), of which 9e-8 are the polynomial's and the rest its roundings (tests/test_vector.cpp). 2^0
/// is 1: sums of a row whose maximum stays are not rescaled. Below -126.5 the result is 0, so that
/// the weight of a hidden key is nothing, however large its value; from there to -126 it is 0 or a
/// denormal. NaN stays NaN, whatever its payload.
DELTA_ATTENTION_INLINE vector exp2(vector power) {
#if defined(__AVX512DQ__)
  // What is left of x beside the nearest integer, and scaling by a power of 2, are instructions.
  const vector f =
      (vector)_mm512_reduce_ps((__m512)power, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
#else
  // 1.5 * 2^23, and a float's exponent bias: the sum's last bits are the exponent of a power of 2,
  // which is 0 at -127.
  constexpr float shift = 12582912 + 127;
  const vector x = max(power, broadcast(-127.f)), shifted = x + shift, f = x - (shifted - shift);
#endif
  vector p = f * 0.0013264730395431213f + 0.009671513269490188f;
  p = p * f + 0.05550733740660657f;
  p = p * f + 0.24022242077809328f;
  p = p * f + 0.6931469775959516f;
  p = p * f + 1.f;
#if defined(__AVX512DQ__)
  return (vector)_mm512_maskz_scalef_ps(
      _mm512_cmp_ps_mask((__m512)power, (__m512)broadcast(-126.f), _CMP_NLT_UQ), (__m512)p,
      (__m512)(power - f));
#else
  return p * std::bit_cast<vector>(std::bit_cast<vector_bits>(shifted) << 23);
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
  DELTA_ATTENTION_INLINE bool all_are(float x) const {
    vector_bits differ = {};
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < N; ++i) differ |= (vector_bits)(v[i] != x);
    return all_bits_are_zero((vector)differ);
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
  /// Memory has it as [Rows][N vectors].
  DELTA_ATTENTION_INLINE void from(const float* p) {
    DELTA_ATTENTION_UNROLL
    for (int r = 0; r < Rows; ++r) {
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < N; ++i) v[r][i] = load(p + (r * N + i) * vector_width);
    }
  }
  DELTA_ATTENTION_INLINE void to(float* p) const {
    DELTA_ATTENTION_UNROLL
    for (int r = 0; r < Rows; ++r) {
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < N; ++i) save(p + (r * N + i) * vector_width, v[r][i]);
    }
  }
  /// v[r] += a[x][r] * b[x] over x < depth, a packed as [depth][Rows], b as [depth][N vectors]: the
  /// one product behind both S and O. `depth` is at least 1: told so, GCC keeps no second copy of
  /// the sums.
  DELTA_ATTENTION_INLINE void multiply_add(const float* a, const float* b, int depth) {
    if (depth < 1) __builtin_unreachable();
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

}  // namespace delta_attention::arch
#endif
