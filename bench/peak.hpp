// The host's peak in single precision: fused multiply-adds on registers alone, with the widest
// vectors that this binary was compiled for and enough independent chains to fill the pipelines.
#pragma once
#include "host_threads.hpp"

namespace bench {

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64, fma_chains = 24;  // 32 registers
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32, fma_chains = 12;  // 16 registers
#elif defined(__SSE2__)
inline constexpr int vector_bytes = 16, fma_chains = 12;  // 16 registers
#else
inline constexpr int vector_bytes = 16, fma_chains = 24;  // 32 registers (NEON, VSX)
#endif

typedef float wide_vector __attribute__((vector_size(vector_bytes)));

inline constexpr int fma_rounds = 40000;
inline constexpr double fma_burst_flops =
    2.0 * fma_chains * fma_rounds * (vector_bytes / static_cast<double>(sizeof(float)));

/// x = b - x in every chain, over and over. The operands come through volatile memory, so that the
/// compiler cannot foresee them; x swings between two values, never infinite, never a denormal.
[[gnu::noinline]] inline float fma_burst() {
  volatile float minus_one = -1.0F, three = 3.0F;
  const wide_vector a = wide_vector{} + minus_one, b = wide_vector{} + three;
  wide_vector x[fma_chains];
  for (int chain = 0; chain < fma_chains; ++chain) x[chain] = b * static_cast<float>(chain);
#pragma GCC unroll 4
  for (int round = 0; round < fma_rounds; ++round) {
#pragma GCC unroll 24
    for (int chain = 0; chain < fma_chains; ++chain) x[chain] = a * x[chain] + b;
  }
  wide_vector sum = {};
  for (int chain = 0; chain < fma_chains; ++chain) sum += x[chain];
  return sum[0];
}

/// FLOP in a CPU second of one thread while all threads work: cores that share a clock or a
/// pipeline are measured as a kernel finds them.
inline double fma_peak(double seconds = 0.02) {
  return rate_per_cpu_second(seconds, [](int) {
    volatile float kept = fma_burst();
    (void)kept;
    return fma_burst_flops;
  });
}

inline constexpr int additions = 100000;

/// A chain of additions, each waiting for the one before: one cycle an addition.
[[gnu::noinline]] inline long add_burst() {
  long sum = 0, one = 1;
#pragma GCC unroll 50
  for (int i = 0; i < additions; ++i) {
    sum += one;
    asm volatile("" : "+r"(sum), "+r"(one));  // keeps the additions apart
  }
  return sum;
}

/// Cycles in a CPU second of one core, to tell FLOP a cycle.
inline double core_clock(double seconds = 0.02) {
  return rate_per_cpu_second(seconds, [](int) {
    volatile long kept = add_burst();
    (void)kept;
    return static_cast<double>(additions);
  });
}

}  // namespace bench
