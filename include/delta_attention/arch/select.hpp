#pragma once

#include <delta_attention/arch/amx.hpp>
#include <delta_attention/arch/mfma.hpp>
#include <delta_attention/arch/mma_sync.hpp>
#include <delta_attention/arch/scalar.hpp>
#include <delta_attention/arch/simd.hpp>
#include <delta_attention/arch/wgmma.hpp>

namespace delta_attention::arch {

template <class... Families> struct families {};

/// All instruction families, the best first. A new one is a file in this folder and a line here.
using all_families = families<
#if defined(DELTA_ATTENTION_HAS_WGMMA)
    wgmma,
#endif
#if defined(DELTA_ATTENTION_HAS_MMA_SYNC)
    mma_sync,
#endif
#if defined(DELTA_ATTENTION_HAS_MFMA)
    mfma,
#endif
#if defined(DELTA_ATTENTION_HAS_AMX)
    amx,
#endif
#if defined(DELTA_ATTENTION_HAS_SIMD)
    simd,
#endif
    scalar>;

namespace detail {
template <class Exec, class Element, class First, class... Others>
constexpr auto first_that_covers(families<First, Others...>) {
  if constexpr (First::template covers<Exec, Element>)
    return First{};
  else
    return first_that_covers<Exec, Element>(families<Others...>{});
}
}  // namespace detail

/// The best family for an execution space and an element type.
template <class Exec, class Element>
using preferred = decltype(detail::first_that_covers<Exec, Element>(all_families{}));

}  // namespace delta_attention::arch
