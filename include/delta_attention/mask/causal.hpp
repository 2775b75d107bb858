#pragma once

#include <delta_attention/mask/mask.hpp>

namespace delta_attention {

/// A row at position p sees the keys j <= p.
struct causal : mask_base {
  /// @cond internal
  struct bound {
    std::int64_t keys;

    KOKKOS_FUNCTION bool allows(int, int, std::int64_t position, std::int64_t key) const {
      return key <= position;
    }
    KOKKOS_FUNCTION mask::coverage classify(mask::row_block rows, mask::key_range range) const {
      if (range.end - 1 <= rows.first) return mask::coverage::full;
      return range.begin > rows.last ? mask::coverage::empty : mask::coverage::partial;
    }
    KOKKOS_FUNCTION mask::key_range next(mask::row_block rows, std::int64_t from) const {
      const std::int64_t end = rows.last + 1 < keys ? rows.last + 1 : keys;
      return from < end ? mask::key_range{from, end} : mask::key_range{keys, keys};
    }
    KOKKOS_FUNCTION bool next_is_tight() const { return true; }
    KOKKOS_FUNCTION bool varies_by_head() const { return false; }

    struct one_row {
      int last;
      KOKKOS_INLINE_FUNCTION bool sees(int j) const { return j <= last; }
      KOKKOS_INLINE_FUNCTION std::uint32_t word(int j, int) const {
        return mask::bits_below(last + 1 - j);
      }
    };
    KOKKOS_INLINE_FUNCTION one_row row(std::int64_t position, std::int64_t first) const {
      return {mask::offset_from(first, position)};
    }
  };

  bound bind(const mask::geometry& sizes) const { return {sizes.keys}; }
  /// @endcond
};

}  // namespace delta_attention
