#pragma once

#include <delta_attention/arch/mma_sync.hpp>
#include <delta_attention/arch/wgmma_compute.hpp>
#include <delta_attention/arch/wgmma_load.hpp>

#if defined(DELTA_ATTENTION_HAS_WGMMA)

#include <algorithm>
#include <string>
#include <type_traits>

namespace delta_attention::arch {

/// Hopper's tensor cores, for 16-bit elements and head sizes to 128 of tensors that its copy engine
/// can read, under masks of little code; other calls, and few rows, are for mma_sync.
struct wgmma {
  static std::string description() { return wgmma_tile<bfloat16, 64>::description(); }
  static constexpr bool rounds_weights = true;

  template <class Exec, class Mask, class Element, class F>
  static void with_tile(const kernel::problem<Element>& p, const F& f) {
    const int channels = std::max(p.head_size(), p.value_size());
    tensor_maps maps;
    // The copying warps have few registers, of which a function that the compiler did not inline
    // knows nothing: nvcc 13.0 inlines masks up to this complexity (.ci/inspect fails where not).
    constexpr int most = 4;
    if constexpr (mask::complexity_of<Mask>() > most)
      mma_sync::with_tile<Exec, Mask>(p, f);
    else if (channels > 128 || !rows_are_aligned(p.q) || !make_maps(maps, p))
      mma_sync::with_tile<Exec, Mask>(p, f);
    else if (channels > 64)
      f(std::type_identity<wgmma_tile<Element, 128>>{}, maps);
    else
      f(std::type_identity<wgmma_tile<Element, 64>>{}, maps);
  }
  template <class Exec, class Element, class F>
  static void with_stream(const kernel::problem<Element>& p, const F& f) {
    mma_sync::with_stream<Exec>(p, f);
  }

  template <class Exec, class Element>
  static constexpr bool covers = mma_sync::covers<Exec, Element>;
};

}  // namespace delta_attention::arch
#endif
