#pragma once

#include <delta_attention/arch/amx_tile.hpp>
#include <delta_attention/arch/simd.hpp>

#if defined(DELTA_ATTENTION_HAS_AMX)
#include <string>
#include <type_traits>

namespace delta_attention::arch {

/// Tile registers of Intel processors from Sapphire Rapids on, for bfloat16; few rows, and
/// processes that may not use them, are for simd.
struct amx {
  static std::string description() { return amx_tile::description(); }
  static constexpr bool rounds_weights = true;

  template <class Exec, class Mask, class Element, class F>
  static void with_tile(const kernel::problem<Element>& p, const F& f) {
    if (amx_is_permitted())
      f(std::type_identity<amx_tile>{});
    else
      simd::with_tile<Exec, Mask>(p, f);
  }
  template <class Exec, class Element, class F>
  static void with_stream(const kernel::problem<Element>& p, const F& f) {
    simd::with_stream<Exec>(p, f);
  }

  template <class Exec, class Element>
  static constexpr bool covers = simd::covers<Exec, Element> && std::is_same_v<Element, bfloat16>;
};

}  // namespace delta_attention::arch
#endif
