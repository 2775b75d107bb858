#pragma once

#include <delta_attention/mask/mask.hpp>

namespace delta_attention {

/// Every row sees every key.
struct full : mask_base {
  /// @cond internal
  struct bound {
    std::int64_t keys;

    KOKKOS_FUNCTION bool allows(int, int, std::int64_t, std::int64_t) const { return true; }
    KOKKOS_FUNCTION mask::coverage classify(mask::row_block, mask::key_range) const {
      return mask::coverage::full;
    }
    KOKKOS_FUNCTION mask::key_range next(mask::row_block, std::int64_t from) const {
      return {from, keys};
    }
    KOKKOS_FUNCTION bool next_is_tight() const { return true; }
    KOKKOS_FUNCTION bool varies_by_head() const { return false; }
  };

  bound bind(const mask::geometry& sizes) const { return {sizes.keys}; }
  /// @endcond
};

}  // namespace delta_attention
