#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/arch/words.hpp>
#include <delta_attention/tensor/element.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

// The matrix instructions used here are those of CDNA2 and later.
#if defined(KOKKOS_ENABLE_HIP) && defined(__HIPCC__) &&                    \
    (defined(KOKKOS_ARCH_AMD_GFX90A) || defined(KOKKOS_ARCH_AMD_GFX942) || \
     defined(KOKKOS_ARCH_AMD_GFX942_APU))
#define DELTA_ATTENTION_HAS_MFMA 1

namespace delta_attention::arch {

/// What one lane of a wave of AMD's CDNA2 and CDNA3 can do ("AMD Instinct MI200" and "MI300
/// Instruction Set Architecture"). A team of Kokkos is a wave long in its vector direction, so that
/// the wave is uniform. A place in shared memory (LDS) is its address; the team's own begins at
/// origin(). tests/emulation has the same operations on the host.
class amd_lane {
 public:
  static constexpr int lanes = 64, alignment = 16;
  /// Shared memory of a compute unit, in bytes.
  static constexpr int shared_memory = 64 << 10;

  /// Words in consecutive registers: one value to the compiler, which moves it as a whole.
  template <class Words>
  using vector = std::uint32_t __attribute__((ext_vector_type(sizeof(Words) / 4)));
  /// N floats in consecutive registers, as a matrix instruction wants its accumulator.
  template <int N> struct registers {
    float __attribute__((ext_vector_type(N))) v;
    __device__ float get(int e) const { return v[e]; }
    __device__ void set(int e, float x) { v[e] = x; }
  };

  template <class Team>
  __device__ amd_lane(const Team& team, std::size_t shared_bytes)
      : lane_(static_cast<int>(threadIdx.x)),
        wave_(__builtin_amdgcn_readfirstlane(team.team_rank())),
        origin_(static_cast<int>(
            reinterpret_cast<std::uintptr_t>((shared<char>*)team.team_scratch(0).get_shmem_aligned(
                static_cast<int>(shared_bytes), alignment)))) {}

  __device__ int thread() const { return wave_ * lanes + lane_; }
  __device__ int lane() const { return lane_; }
  __device__ int wave() const { return wave_; }
  __device__ int origin() const { return origin_; }
  __device__ void barrier() const { __syncthreads(); }
  /// The compiler schedules nothing across: interleaved, phases of a tile need more registers than
  /// there are.
  __device__ void phase() const { __builtin_amdgcn_sched_barrier(0); }
  /// A use of x: its load has arrived.
  __device__ void settle(words4& x) const {
    auto y = __builtin_bit_cast(vector<words4>, x);
    asm volatile("; settled %0" : "+v"(y));
    x = __builtin_bit_cast(words4, y);
  }

  /// x. What follows from it is not known before, nor kept from one time to the next: scalar
  /// registers, which conditions take, are scarcer than vector registers.
  __device__ std::uint32_t opaque(std::uint32_t x) const {
    asm volatile("; opaque %0" : "+v"(x));
    return x;
  }

  template <class Words> __device__ auto shared_load(int at) const { return *place<Words>(at); }
  template <class Words> __device__ void shared_store(int at, const Words& x) const {
    *place<Words>(at) = __builtin_bit_cast(vector<Words>, x);
  }
  /// x, which all lanes of a wave have, once for all of them: in scalar registers.
  template <class T> __device__ T keep(const T& x) const {
    static_assert(sizeof(T) % 4 == 0);
    struct words {
      int v[sizeof(T) / 4];
    } kept = __builtin_bit_cast(words, x);
    DELTA_ATTENTION_UNROLL
    for (int& word : kept.v) word = __builtin_amdgcn_readfirstlane(word);
    return __builtin_bit_cast(T, kept);
  }

  /// Words at any multiple of two bytes of the device's memory. (That it is must be said: a pointer
  /// that may be null could be one to shared memory for all that the compiler knows, and while such
  /// an access is under way it waits for all loads where it needs one, even in the next main loop.)
  template <class Words> __device__ Words load(const void* from) const {
    return __builtin_bit_cast(Words, *(const global<loose<Words>>*)from);
  }
  template <class Words> __device__ void store(void* to, const Words& x) const {
    *(global<loose<Words>>*)to = __builtin_bit_cast(vector<Words>, x);
  }
  /// Words `bytes` after a place that is the same for all lanes.
  template <class Words> __device__ Words load(const void* uniform, std::uint32_t bytes) const {
    return load<Words>(static_cast<const char*>(uniform) + bytes);
  }

  /// d += a b, of 32 x 8 by 8 x 32;
  template <class Element>
  __device__ void mfma(registers<16>& d, const vector<words2>& a, const words2& b) const {
    if constexpr (std::is_same_v<Element, bfloat16>)
      d.v = __builtin_amdgcn_mfma_f32_32x32x8bf16_1k(__builtin_bit_cast(short4, a),
                                                     __builtin_bit_cast(short4, b), d.v, 0, 0, 0);
    else
      d.v = __builtin_amdgcn_mfma_f32_32x32x8f16(__builtin_bit_cast(half4, a),
                                                 __builtin_bit_cast(half4, b), d.v, 0, 0, 0);
  }
  /// of 16 x 16 by 16 x 16.
  template <class Element>
  __device__ void mfma(registers<4>& d, const vector<words2>& a, const words2& b) const {
    if constexpr (std::is_same_v<Element, bfloat16>)
      d.v = __builtin_amdgcn_mfma_f32_16x16x16bf16_1k(__builtin_bit_cast(short4, a),
                                                      __builtin_bit_cast(short4, b), d.v, 0, 0, 0);
    else
      d.v = __builtin_amdgcn_mfma_f32_16x16x16f16(__builtin_bit_cast(half4, a),
                                                  __builtin_bit_cast(half4, b), d.v, 0, 0, 0);
  }
  /// The same twice, with the operands' first and second halves.
  template <class Element, int N>
  __device__ void mfma(registers<N>& d, const vector<words4>& a, const words4& b) const {
    mfma<Element>(d, vector<words2>(a.lo), words2{b.v[0], b.v[1]});
    mfma<Element>(d, vector<words2>(a.hi), words2{b.v[2], b.v[3]});
  }
  __device__ float shuffle_xor(float x, int mask) const {
    return __builtin_bit_cast(
        float, __builtin_amdgcn_ds_bpermute((lane_ ^ mask) * 4, __builtin_bit_cast(int, x)));
  }
  __device__ bool any(bool x) const { return ballot(x) != 0; }
  __device__ std::uint64_t ballot(bool x) const { return __builtin_amdgcn_ballot_w64(x); }

  static __device__ float exp2(float x) { return __builtin_amdgcn_exp2f(x); }
  /// Both x = x factor + addend; both sum += x: one instruction for two.
  static __device__ void multiply_add(float (&x)[2], float factor, float addend) {
    const float2 y = float2{x[0], x[1]} * factor + addend;
    x[0] = y[0];
    x[1] = y[1];
  }
  static __device__ void add(float (&sum)[2], const float (&x)[2]) {
    const float2 y = float2{sum[0], sum[1]} + float2{x[0], x[1]};
    sum[0] = y[0];
    sum[1] = y[1];
  }
  /// Two weights as elements, rounded to nearest; `low` is the first. (CDNA3 has no conversion to
  /// bfloat16: ties go away from zero, which takes one instruction less than to even. A weight is
  /// NaN where a score was, and then of a kind that this keeps.)
  template <class Element> static __device__ std::uint32_t pack(float low, float high) {
    if constexpr (std::is_same_v<Element, bfloat16>) {
      return high_halves(__builtin_bit_cast(std::uint32_t, low) + 0x8000u,
                         __builtin_bit_cast(std::uint32_t, high) + 0x8000u);
    } else {
      const half2 both{static_cast<_Float16>(low), static_cast<_Float16>(high)};
      return __builtin_bit_cast(std::uint32_t, both);
    }
  }
  static __device__ std::uint32_t low_halves(std::uint32_t x, std::uint32_t y) {
    return __builtin_amdgcn_perm(y, x, 0x05040100u);
  }
  static __device__ std::uint32_t high_halves(std::uint32_t x, std::uint32_t y) {
    return __builtin_amdgcn_perm(y, x, 0x07060302u);
  }

 private:
  using float2 = float __attribute__((ext_vector_type(2)));
  using short4 = short __attribute__((ext_vector_type(4)));
  using half2 = _Float16 __attribute__((ext_vector_type(2)));
  using half4 = _Float16 __attribute__((ext_vector_type(4)));
  template <class T> using shared = __attribute__((address_space(3))) T;
  template <class T> using global = __attribute__((address_space(1))) T;
  template <class Words>
  using loose = std::uint32_t __attribute__((ext_vector_type(sizeof(Words) / 4), aligned(2)));

  template <class Words> static __device__ shared<vector<Words>>* place(int at) {
    return reinterpret_cast<shared<vector<Words>>*>(static_cast<std::uintptr_t>(at));
  }

  int lane_, wave_, origin_;
};

}  // namespace delta_attention::arch
#endif
