#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/arch/unroll.hpp>

#include <cstdint>

namespace delta_attention::arch {

inline constexpr float infinity = Kokkos::Experimental::infinity_v<float>;

KOKKOS_INLINE_FUNCTION float larger(float a, float b) {
  return Kokkos::fmax(a, b);
}

template <class Exec> int multiprocessors(const Exec& exec) {
  if constexpr (requires { exec.cuda_device_prop(); })
    return exec.cuda_device_prop().multiProcessorCount;
  else
    return exec.concurrency();  // emulated
}

/// One number for each of the `Count` rows that a GPU lane holds, in registers.
template <int Count, class Lane> struct lane_values {
  float v[Count];

  template <class F> static KOKKOS_INLINE_FUNCTION lane_values map(const F& f) {
    lane_values r;
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < Count; ++i) r.v[i] = f(i);
    return r;
  }
  friend KOKKOS_INLINE_FUNCTION lane_values operator-(const lane_values& a, const lane_values& b) {
    return map([&](int i) { return a.v[i] - b.v[i]; });
  }
  friend KOKKOS_INLINE_FUNCTION lane_values operator+(const lane_values& a, const lane_values& b) {
    return map([&](int i) { return a.v[i] + b.v[i]; });
  }
  friend KOKKOS_INLINE_FUNCTION lane_values operator*(const lane_values& a, const lane_values& b) {
    return map([&](int i) { return a.v[i] * b.v[i]; });
  }
  /// Weights up to 2^8 lose nothing: rescaling waits until a maximum has risen by more.
  friend KOKKOS_INLINE_FUNCTION lane_values raised(const lane_values& a, const lane_values& b) {
    return map([&](int i) { return b.v[i] > a.v[i] + 8.f ? b.v[i] : a.v[i]; });
  }
  friend KOKKOS_INLINE_FUNCTION lane_values exp2(const lane_values& a) {
    return map([&](int i) { return Lane::exp2(a.v[i]); });
  }
  friend KOKKOS_INLINE_FUNCTION lane_values zero_if_infinite(const lane_values& a) {
    return map([&](int i) { return a.v[i] == -infinity ? 0.f : a.v[i]; });
  }
  KOKKOS_INLINE_FUNCTION bool all_are(float x) const {
    bool same = true;
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < Count; ++i) same = same & (v[i] == x);
    return same;
  }
};

/// Two finished channels of a row: at once where the row's address allows it.
template <class Lane, class Destination>
KOKKOS_INLINE_FUNCTION void put_pair(const Destination& to, int c, float first, float second,
                                     bool fits) {
  using value = typename Destination::value;
  const float x = to.finished(c, first), y = to.finished(c + 1, second);
  if constexpr (sizeof(value) == 2) {
    const std::uint32_t both = Lane::template pack<value>(x, y);
    if (fits) {
      *reinterpret_cast<std::uint32_t*>(to.out + c) = both;
    } else {
      to.out[c].bits = std::uint16_t(both);
      to.out[c + 1].bits = std::uint16_t(both >> 16);
    }
  } else {
    struct alignas(2 * sizeof(value)) pair {
      value first, second;
    };
    if (fits) {
      *reinterpret_cast<pair*>(to.out + c) = {x, y};
    } else {
      to.out[c] = x;
      to.out[c + 1] = y;
    }
  }
}
/// May pairs of channels of a row be stored at once?
template <class T> KOKKOS_INLINE_FUNCTION bool pairs_fit(const T* row) {
  return reinterpret_cast<std::uintptr_t>(row) % (2 * sizeof(T)) == 0;
}

/// A bit for each key of a tile.
template <int Keys> struct key_bits {
  static_assert(Keys % 32 == 0);
  std::uint32_t word[Keys / 32];

  /// By a warp together: the keys below `count` for which `wanted` holds.
  template <class Lane, class Wanted>
  static KOKKOS_INLINE_FUNCTION key_bits where(const Lane& lane, int count, const Wanted& wanted) {
    key_bits bits;
    DELTA_ATTENTION_UNROLL
    for (int w = 0; w < Keys / 32; ++w) {
      const int key = 32 * w + lane.lane();
      bits.word[w] = 32 * w < count ? lane.ballot(key < count && wanted(key)) : 0;
    }
    return bits;
  }
  KOKKOS_INLINE_FUNCTION bool operator[](int key) const {
    std::uint32_t of = word[0];
    DELTA_ATTENTION_UNROLL
    for (int w = 1; w < Keys / 32; ++w) of = key / 32 == w ? word[w] : of;
    return of >> (key % 32) & 1;
  }
};

}  // namespace delta_attention::arch
