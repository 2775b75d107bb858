// What NVIDIA's warp-wide instructions do to the registers of a warp, written from the PTX ISA and
// from nothing else: these functions know neither fibers nor atoms.
#pragma once

#include <delta_attention/arch/words.hpp>

#include "elements.hpp"

namespace emulation::cuda {

using delta_attention::arch::words2;
using delta_attention::arch::words4;

/// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type". There, groupID =
/// lane >> 2 and threadID_in_group = lane % 4. For mma.sync.aligned.m16n8k16.row.col.f32.E.E.f32.
struct m16n8k16 {
  static constexpr int m = 16, n = 8, k = 16;
  static constexpr place a(int row, int column) {
    return {row % 8 * 4 + column % 8 / 2, column / 8 * 4 + row / 8 * 2 + column % 2};
  }
  static constexpr place b(int row, int column) {
    return {column * 4 + row % 8 / 2, row / 8 * 2 + row % 2};
  }
  static constexpr place d(int row, int column) {
    return {row % 8 * 4 + column / 2, row / 8 * 2 + column % 2};
  }
};

/// ldmatrix.sync.aligned.m8n8.x4[.trans].shared.b16: four matrices of 8 x 8 elements of 16 bits.
/// Lane 8 q + r brings row r of matrix q; lane l gets two elements of each matrix: of row l / 4,
/// columns 2 (l % 4) and the next, or, transposed, of column l / 4 those rows. `rows(lane)` is what
/// a lane brings, `results(lane)` what it gets.
template <class Rows, class Results>
void load_matrices(bool transposed, const Rows& rows, const Results& results) {
  const auto element = [&](int matrix, int row, int column) {
    return rows(8 * matrix + row).v[column / 2] >> column % 2 * 16 & 0xffff;
  };
  for (int lane = 0; lane < 32; ++lane)
    for (int q = 0; q < 4; ++q) {
      const int i = lane / 4, j = lane % 4 * 2;
      results(lane).v[q] = transposed ? element(q, j, i) | element(q, j + 1, i) << 16
                                      : element(q, i, j) | element(q, i, j + 1) << 16;
    }
}

}  // namespace emulation::cuda
