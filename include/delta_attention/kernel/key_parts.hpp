#pragma once

#include <Kokkos_Core.hpp>

#include <algorithm>
#include <cstdint>

namespace delta_attention::kernel {

/// The parts that a pass cuts its keys into, and where their states are: those of a row side by
/// side, row after row. Where no row sees beyond its own position, a row has no states of the parts
/// after it, which is half of them.
class key_parts {
 public:
  int count = 1;
  std::int64_t rows;

  explicit key_parts(std::int64_t rows_of_set = 0) : rows(rows_of_set) {}

  /// Row r sees nothing beyond the position (r + start) * step; a part has `keys` keys.
  void end_with_rows(std::int64_t start, std::int64_t step, std::int64_t keys) {
    if (rows == 0 || keys < step) return;
    rows_apart_ = keys / step;
    start_ = std::min(start, count * rows_apart_);  // beyond it rows see all parts
    count = of(rows - 1);                           // beyond it nobody sees anything
    before_start_ = parts_before(start_);
  }

  /// How many parts have a state of the row: the first ones.
  KOKKOS_FUNCTION int of(std::int64_t row) const {
    if (rows_apart_ == 0) return count;
    const std::int64_t n = (row + start_) / rows_apart_ + 1;
    return n < count ? int(n) : count;
  }
  /// Where the row's state of part s is, of states() states.
  KOKKOS_FUNCTION std::int64_t place(int s, std::int64_t row) const {
    return rows_apart_ == 0 ? row * count + s
                            : row + parts_before(start_ + row) - before_start_ + s;
  }
  std::int64_t states() const { return place(0, rows); }

 private:
  // The sum of min(x / rows_apart_, count - 1) for 0 <= x < end.
  KOKKOS_FUNCTION std::int64_t parts_before(std::int64_t end) const {
    const std::int64_t last = count - 1, x = end / rows_apart_, n = x < last ? x : last;
    return n * (n - 1) / 2 * rows_apart_ + (end - n * rows_apart_) * n;
  }

  std::int64_t rows_apart_ = 0;  // the first rows of two parts; 0: all rows have all states
  std::int64_t start_ = 0, before_start_ = 0;
};

}  // namespace delta_attention::kernel
