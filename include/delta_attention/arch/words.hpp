#pragma once

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

}  // namespace delta_attention::arch
