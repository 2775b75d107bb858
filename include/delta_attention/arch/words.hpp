#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/arch/unroll.hpp>

#include <cstdint>

namespace delta_attention::arch {

// What a lane holds of a fragment, packed: registers of 32 bits, two 16-bit elements each, the
// first in the lower half.
struct alignas(16) words4 {
  std::uint32_t v[4];
};
struct alignas(8) words2 {
  std::uint32_t v[2];
};

/// All elements with the other sign.
KOKKOS_INLINE_FUNCTION words4 negated(words4 x) {
  DELTA_ATTENTION_UNROLL
  for (std::uint32_t& word : x.v) word ^= 0x80008000u;
  return x;
}

}  // namespace delta_attention::arch
