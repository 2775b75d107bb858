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
  KOKKOS_INLINE_FUNCTION bool all_are(float x) const {
    bool same = true;
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < Count; ++i) same = same & (v[i] == x);
    return same;
  }
};

/// A row of `Channels` that four lanes share, each with the two channels 2 q and 2 q + 1 of every
/// 8, q = lane % 4: the lanes exchange theirs, so that each has 16 bytes to store at a time.
template <class Lane, class T, int Channels> class quad_row {
 public:
  KOKKOS_INLINE_FUNCTION explicit quad_row(const Lane& lane) : lane_(lane), q_(lane.lane() % 4) {}

  /// Takes over the channels 8 c + 2 q + e, x(c, e), of a row; all lanes of a warp together.
  template <class F> KOKKOS_INLINE_FUNCTION void gather(const F& x) {
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < pieces; ++i) {
      float of_groups[groups][2];
      DELTA_ATTENTION_UNROLL
      for (int g = 0; g < groups; ++g) {
        DELTA_ATTENTION_UNROLL
        for (int e = 0; e < 2; ++e) of_groups[g][e] = x(i * groups + g, e);
      }
      pieces_[i] = exchanged(of_groups);
    }
  }
  /// The lane's share of the first `count` channels, to where the row begins.
  KOKKOS_INLINE_FUNCTION void store(T* to, int count) const {
    const int first = sizeof(T) == 2 ? 8 * q_ : 8 * (q_ % 2) + q_ / 2 * 4;
    to += first;
    if (reinterpret_cast<std::uintptr_t>(to) % 16 == 0) {
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < pieces; ++i)
        if (first + i * 8 * groups < count)
          *reinterpret_cast<words4*>(to + i * 8 * groups) = pieces_[i];
      return;
    }
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < pieces; ++i) {
      T each[16 / sizeof(T)];
      static_assert(sizeof each == sizeof pieces_[i]);
      __builtin_memcpy(&each, &pieces_[i], sizeof each);
      DELTA_ATTENTION_UNROLL
      for (int j = 0; j < 16 / int(sizeof(T)); ++j)
        if (first + i * 8 * groups < count) to[i * 8 * groups + j] = each[j];
    }
  }

 private:
  static constexpr int groups = 8 / int(sizeof(T)),  // of eight channels, exchanged together
      pieces = Channels / 8 / groups;

  KOKKOS_INLINE_FUNCTION words4 exchanged(const float (&x)[groups][2]) const {
    words4 w;
    if constexpr (sizeof(T) == 2) {
      DELTA_ATTENTION_UNROLL
      for (int g = 0; g < 4; ++g) w.v[g] = Lane::template pack<T>(x[g][0], x[g][1]);
      exchange(w, 0, 1, 1);
      exchange(w, 2, 3, 1);
      exchange(w, 0, 2, 2);
      exchange(w, 1, 3, 2);
    } else {
      static_assert(sizeof(T) == 4);
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < 4; ++i) w.v[i] = Kokkos::bit_cast<std::uint32_t>(x[i / 2][i % 2]);
      exchange(w, 0, 2, 1);
      exchange(w, 1, 3, 1);
    }
    return w;
  }
  // The lane without the bit `mask` gives its word b for the word a of the lane with it.
  KOKKOS_INLINE_FUNCTION void exchange(words4& w, int a, int b, int mask) const {
    const bool upper = q_ & mask;
    const std::uint32_t got = lane_.shuffle(upper ? w.v[a] : w.v[b], lane_.lane() ^ mask);
    (upper ? w.v[a] : w.v[b]) = got;
  }

  const Lane& lane_;
  int q_;
  words4 pieces_[pieces];
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
  /// Are all set?
  KOKKOS_INLINE_FUNCTION bool all() const {
    std::uint32_t common = word[0];
    DELTA_ATTENTION_UNROLL
    for (int w = 1; w < Keys / 32; ++w) common &= word[w];
    return common == ~0u;
  }
  KOKKOS_INLINE_FUNCTION bool operator[](int key) const {
    std::uint32_t of = word[0];
    DELTA_ATTENTION_UNROLL
    for (int w = 1; w < Keys / 32; ++w) of = key / 32 == w ? word[w] : of;
    return of >> (key % 32) & 1;
  }
};

}  // namespace delta_attention::arch
