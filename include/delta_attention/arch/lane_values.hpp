#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/arch/words.hpp>

#include <cstdint>

namespace delta_attention::arch {

inline constexpr float infinity = Kokkos::Experimental::infinity_v<float>;

KOKKOS_INLINE_FUNCTION float larger(float a, float b) {
  return Kokkos::fmax(a, b);
}

template <class Exec> int multiprocessors(const Exec& exec) {
  if constexpr (requires { exec.cuda_device_prop(); })
    return exec.cuda_device_prop().multiProcessorCount;
  else if constexpr (requires { exec.hip_device_prop(); })
    return exec.hip_device_prop().multiProcessorCount;
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
  static constexpr float most_above = 8;
  friend KOKKOS_INLINE_FUNCTION lane_values raised(const lane_values& a, const lane_values& b) {
    return map([&](int i) { return b.v[i] > a.v[i] + most_above ? b.v[i] : a.v[i]; });
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

/// Stores channels of a row that four lanes share, each with the two channels 2 q and 2 q + 1 of
/// every 8, q = lane % 4: the lanes exchange theirs, so that each has 16 bytes to store at a time.
template <class Lane, class T> class quad_row {
 public:
  static constexpr int groups = 8 / int(sizeof(T));  // of eight channels, exchanged together

  KOKKOS_INLINE_FUNCTION explicit quad_row(const Lane& lane) : lane_(lane), q_(lane.lane() % 4) {}

  /// Channels 8 g + 2 q + e of `groups` groups, `x[g][e]`, to where group 0 begins; those from
  /// `end` on are left out. All lanes of a warp take part; `to` is null where there is no row.
  KOKKOS_INLINE_FUNCTION void store(T* to, const float (&x)[groups][2], int end) const {
    words4 w;
    int channel;
    if constexpr (sizeof(T) == 2) {
      DELTA_ATTENTION_UNROLL
      for (int g = 0; g < 4; ++g) w.v[g] = Lane::template pack<T>(x[g][0], x[g][1]);
      exchange(w, 0, 1, 1);
      exchange(w, 2, 3, 1);
      exchange(w, 0, 2, 2);
      exchange(w, 1, 3, 2);
      channel = 8 * q_;
    } else {
      static_assert(sizeof(T) == 4);
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < 4; ++i) w.v[i] = Kokkos::bit_cast<std::uint32_t>(x[i / 2][i % 2]);
      exchange(w, 0, 2, 1);
      exchange(w, 1, 3, 1);
      channel = 8 * (q_ % 2) + q_ / 2 * 4;
    }
    if (to == nullptr || channel >= end) return;
    to += channel;
    if (reinterpret_cast<std::uintptr_t>(to) % 16 == 0) {
      *reinterpret_cast<words4*>(to) = w;
    } else {
      T each[16 / sizeof(T)];
      static_assert(sizeof each == sizeof w);
      __builtin_memcpy(&each, &w, sizeof w);
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < 16 / int(sizeof(T)); ++i) to[i] = each[i];
    }
  }

 private:
  // The lane without the bit `mask` gives its word b for the word a of the lane with it.
  KOKKOS_INLINE_FUNCTION void exchange(words4& w, int a, int b, int mask) const {
    const bool upper = q_ & mask;
    const std::uint32_t got = lane_.shuffle(upper ? w.v[a] : w.v[b], lane_.lane() ^ mask);
    (upper ? w.v[a] : w.v[b]) = got;
  }

  const Lane& lane_;
  int q_;
};

/// A bit for each key of a tile.
template <int Keys> struct key_bits {
  static_assert(Keys % 32 == 0);
  std::uint32_t word[Keys / 32];

  /// By a wave together: the keys below `count` for which `wanted` holds.
  template <class Lane, class Wanted>
  static KOKKOS_INLINE_FUNCTION key_bits where(const Lane& lane, int count, const Wanted& wanted) {
    key_bits bits;
    DELTA_ATTENTION_UNROLL
    for (int first = 0; first < Keys; first += Lane::lanes) {
      const int key = first + lane.lane();
      const std::uint64_t ballot = first < count ? lane.ballot(key < count && wanted(key)) : 0;
      DELTA_ATTENTION_UNROLL
      for (int w = first / 32; w < Keys / 32 && 32 * w < first + Lane::lanes; ++w)
        bits.word[w] = std::uint32_t(ballot >> (32 * w - first));
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
