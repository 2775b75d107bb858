#pragma once

// Fragments live in registers only where every loop over them is unrolled. (The host's pass of nvcc
// has no use for that, and warns.)
#if defined(__CUDA_ARCH__) || defined(__clang__)
#define DELTA_ATTENTION_UNROLL _Pragma("unroll")
#define DELTA_ATTENTION_NO_UNROLL _Pragma("unroll 1")
#elif defined(__GNUC__) && !defined(__CUDACC__)
#define DELTA_ATTENTION_UNROLL _Pragma("GCC unroll 16")
#define DELTA_ATTENTION_NO_UNROLL _Pragma("GCC unroll 1")
#else
#define DELTA_ATTENTION_UNROLL
#define DELTA_ATTENTION_NO_UNROLL
#endif
