// The kernels that several test programs call, as explicit instantiations: support/kernels_*.cpp
// compile each once for all programs. What is not listed here a program compiles for itself, as it
// does everything where there is a GPU, or with DELTA_ATTENTION_TEST_OWN_KERNELS.
#pragma once

#include "mask_cases.hpp"

#if defined(DELTA_ATTENTION_HAS_SIMD) && !defined(KOKKOS_ENABLE_CUDA) && \
    !defined(KOKKOS_ENABLE_HIP) && !defined(DELTA_ATTENTION_TEST_OWN_KERNELS)

namespace shared_kernels {

using run = da::kernel::execution<Kokkos::DefaultExecutionSpace, true>;

template <class Mask>
using bound =
    decltype(da::mask::bind(std::declval<const Mask&>(), std::declval<da::mask::geometry>()));
template <class A, class B> using either = da::mask::bound_union<A, B>;
template <class A, class B> using both = da::mask::bound_intersection<A, B>;

using full = bound<da::full>;
using causal = bound<da::causal>;
using window = bound<da::sink_window>;
using blocks = bound<cases::block_mask<Kokkos::DefaultExecutionSpace>>;
using user = bound<scattered>;
using full_and_causal = both<full, causal>;
using blocks_and_causal = both<blocks, causal>;
using user_and_causal = both<user, causal>;
using lists_or_window_and_causal = both<either<blocks, window>, causal>;
using full_and_partial_blocks = either<blocks, both<blocks, user>>;
using two_windows = either<window, window>;

}  // namespace shared_kernels

// `attention` and `delta_attention` under a mask, without what depends on a call's Views.
#define DELTA_ATTENTION_OUTPUT(prefix, Family, Element, Mask)                        \
  prefix template void da::kernel::output_pass<da::arch::Family>(                    \
      const std::string&, shared_kernels::run&, const da::kernel::problem<Element>&, \
      const shared_kernels::Mask&, const da::kernel::row_set&,                       \
      const da::kernel::output<Element>&);
#define DELTA_ATTENTION_DELTA(prefix, Family, Element, Mask)                             \
  prefix template void da::kernel::delta_passes<da::arch::Family>(                       \
      shared_kernels::run&, const da::kernel::problem<Element>&,                         \
      const da::kernel::output<Element>&, const shared_kernels::Mask&, const da::delta&, \
      std::int64_t);

// What the typed tests try on every setup.
#define DELTA_ATTENTION_KERNELS(prefix, Family, Element)  \
  DELTA_ATTENTION_OUTPUT(prefix, Family, Element, causal) \
  DELTA_ATTENTION_OUTPUT(prefix, Family, Element, full)   \
  DELTA_ATTENTION_OUTPUT(prefix, Family, Element, window) \
  DELTA_ATTENTION_OUTPUT(prefix, Family, Element, blocks) \
  DELTA_ATTENTION_DELTA(prefix, Family, Element, window)

// What some tests and the sweep have in common besides.
#ifdef DELTA_ATTENTION_TEST_FEWER_KERNELS
#define DELTA_ATTENTION_FLOAT_MASKS(prefix)         \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, user) \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, lists_or_window_and_causal)
#else
#define DELTA_ATTENTION_FLOAT_MASKS(prefix)                               \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, user)                       \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, two_windows)                \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, user_and_causal)            \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, lists_or_window_and_causal) \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, full_and_partial_blocks)
#endif
#define DELTA_ATTENTION_FLOAT_DELTAS(prefix)                     \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, full_and_causal)   \
  DELTA_ATTENTION_OUTPUT(prefix, simd, float, blocks_and_causal) \
  DELTA_ATTENTION_DELTA(prefix, simd, float, causal)             \
  DELTA_ATTENTION_DELTA(prefix, simd, float, full_and_causal)    \
  DELTA_ATTENTION_DELTA(prefix, simd, float, blocks_and_causal)
#define DELTA_ATTENTION_BFLOAT16_MASKS(prefix) \
  DELTA_ATTENTION_OUTPUT(prefix, simd, da::bfloat16, lists_or_window_and_causal)
#define DELTA_ATTENTION_AMX_KERNELS(prefix)          \
  DELTA_ATTENTION_KERNELS(prefix, amx, da::bfloat16) \
  DELTA_ATTENTION_OUTPUT(prefix, amx, da::bfloat16, lists_or_window_and_causal)
#define DELTA_ATTENTION_FLOAT16_MASKS(prefix)                        \
  DELTA_ATTENTION_OUTPUT(prefix, simd, da::float16, user_and_causal) \
  DELTA_ATTENTION_DELTA(prefix, simd, da::float16, user_and_causal)
#define DELTA_ATTENTION_SCALAR_MASKS(prefix)                                \
  DELTA_ATTENTION_OUTPUT(prefix, scalar, float, lists_or_window_and_causal) \
  DELTA_ATTENTION_DELTA(prefix, scalar, float, causal)

DELTA_ATTENTION_KERNELS(extern, simd, float)
DELTA_ATTENTION_KERNELS(extern, simd, da::float16)
DELTA_ATTENTION_KERNELS(extern, simd, da::bfloat16)
DELTA_ATTENTION_KERNELS(extern, scalar, float)
DELTA_ATTENTION_KERNELS(extern, scalar, double)
DELTA_ATTENTION_FLOAT_MASKS(extern)
DELTA_ATTENTION_FLOAT_DELTAS(extern)
DELTA_ATTENTION_BFLOAT16_MASKS(extern)
DELTA_ATTENTION_FLOAT16_MASKS(extern)
DELTA_ATTENTION_SCALAR_MASKS(extern)

#if defined(DELTA_ATTENTION_HAS_AMX)
DELTA_ATTENTION_AMX_KERNELS(extern)
#endif

#define DELTA_ATTENTION_SHARED_KERNELS
#endif
