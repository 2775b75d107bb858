#pragma once

#include <delta_attention/mask/mask.hpp>
#include <delta_attention/tensor/contract.hpp>

namespace delta_attention {

/// Attention sinks and a sliding window (Delta Attention, arXiv 2505.11254, section 3): a row at
/// position p sees the keys j <= p with j < sinks or j > e - window, where e = p for align = 1 (the
/// paper), else the last position of p's aligned group of `align` positions (the released HiP
/// kernels). The window counts the row itself.
struct sink_window : mask_base {
  /// The first `sinks` keys are seen by every row from their position on; 0 or more.
  std::int64_t sinks = 0;
  /// The length of the window in keys, the row's own position included; 0 or more.
  std::int64_t window = 0;
  /// The number of positions in a group that shares the oldest key of its window; 1 or more. With
  /// window < align the first rows of a group do not see themselves.
  std::int64_t align = 1;

  /// @cond internal
  struct bound {
    std::int64_t sinks, window, align, keys;

    KOKKOS_FUNCTION bool allows(int, int, std::int64_t position, std::int64_t key) const {
      // & and |, not && and ||: a vector lane evaluates them all
      return (key <= position) & ((key < sinks) | (key > edge(position) - window));
    }
    KOKKOS_FUNCTION mask::coverage classify(mask::row_block rows, mask::key_range range) const {
      const std::int64_t start = range.begin > sinks ? range.begin : sinks;
      if (range.end - 1 <= rows.first && (range.end <= sinks || start > edge(rows.last) - window))
        return mask::coverage::full;
      return sees_any(rows, range) ? mask::coverage::partial : mask::coverage::empty;
    }
    KOKKOS_FUNCTION mask::key_range next(mask::row_block rows, std::int64_t from) const {
      const std::int64_t end = rows.last + 1 < keys ? rows.last + 1 : keys;
      const std::int64_t sink_end = sinks < end ? sinks : end;
      const std::int64_t window_begin = edge(rows.first) - window + 1;
      if (from >= end) return {keys, keys};
      if (from < sink_end) return {from, window_begin <= sink_end ? end : sink_end};
      const std::int64_t begin = from > window_begin ? from : window_begin;
      return begin < end ? mask::key_range{begin, end} : mask::key_range{keys, keys};
    }
    KOKKOS_FUNCTION mask::key_range next_hidden(mask::row_block rows, std::int64_t from) const {
      const std::int64_t dense = rows.last + 1 < keys ? rows.last + 1 : keys;
      const std::int64_t oldest = edge(rows.last) - window + 1;
      const mask::key_range hidden{from > sinks ? from : sinks, oldest < dense ? oldest : dense};
      return hidden.begin < hidden.end ? hidden : mask::key_range{keys, keys};
    }
    KOKKOS_FUNCTION bool next_is_tight() const { return window >= align; }
    KOKKOS_FUNCTION bool varies_by_head() const { return false; }

    struct one_row {
      int last, sinks, hidden;  // keys from `sinks` to `hidden` are hidden
      KOKKOS_INLINE_FUNCTION bool sees(int j) const {
        return (j <= last) & ((j < sinks) | (j > hidden));
      }
      KOKKOS_INLINE_FUNCTION std::uint32_t word(int j, int) const {
        return mask::bits_below(last + 1 - j) &
               (mask::bits_below(sinks - j) | ~mask::bits_below(hidden + 1 - j));
      }
    };
    KOKKOS_INLINE_FUNCTION one_row row(std::int64_t position, std::int64_t first) const {
      return {mask::offset_from(first, position), mask::offset_from(first, sinks),
              mask::offset_from(first, edge(position) - window)};
    }

   private:
    // The position from which the window of row p is counted back.
    KOKKOS_FUNCTION std::int64_t edge(std::int64_t position) const {
      if (align == 1) return position;
      const std::int64_t remainder = position % align;
      return position - (remainder < 0 ? remainder + align : remainder) + align - 1;
    }
    KOKKOS_FUNCTION bool sees_any(mask::row_block rows, mask::key_range range) const {
      if (range.begin > rows.last) return false;
      if (range.begin < sinks) return true;
      // The last row of an aligned group sees most of it: a whole group in the block, or the
      // block's last row.
      const std::int64_t low = range.begin > rows.first ? range.begin : rows.first;
      const std::int64_t high =
          range.end - 2 + window < rows.last ? range.end - 2 + window : rows.last;
      if (window > 0 && edge(low) <= high) return true;
      const std::int64_t oldest = edge(rows.last) - window + 1;
      return oldest <= rows.last && oldest < range.end;
    }
  };

  void check(const mask::geometry&) const {
    require(sinks >= 0, "sink_window: sinks is ", sinks,
            ", but a number of keys cannot be negative");
    require(window >= 0, "sink_window: window is ", window,
            ", but a number of keys cannot be negative");
    require(align >= 1, "sink_window: align is ", align, ", but groups have at least 1 position");
  }
  bound bind(const mask::geometry& sizes) const {
    // Beyond every position the numbers mean the same, and sums of them stay within 64 bits.
    constexpr std::int64_t most = std::int64_t(1) << 60;
    return {sinks < most ? sinks : most, window < most ? window : most, align < most ? align : most,
            sizes.keys};
  }
  /// @endcond
};

}  // namespace delta_attention
