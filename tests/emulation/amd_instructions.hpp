// Where AMD's matrix instructions find the elements in a wave's registers, as AMD's calculator of
// matrix instructions gives it for CDNA 2 and CDNA 3 (--detail-instruction). Nothing here knows
// fibers or atoms.
#pragma once

#include <delta_attention/arch/words.hpp>

#include "elements.hpp"

namespace emulation::amd {

using delta_attention::arch::words2;
using delta_attention::arch::words4;

/// v_mfma_f32_32x32x8_bf16_1k and _f16 (CDNA 3: v_mfma_f32_32x32x8_bf16 and _f16). A lane has 4
/// elements of A and of B, 16 of D.
struct f32_32x32x8 {
  static constexpr const char *bf16 = "mfma 32x32x8 bf16", *f16 = "mfma 32x32x8 f16";
  static constexpr int m = 32, n = 32, k = 8, accumulators = 16;
  static constexpr place a(int row, int column) { return {row + 32 * (column / 4), column % 4}; }
  static constexpr place b(int row, int column) { return {column + 32 * (row / 4), row % 4}; }
  static constexpr place d(int row, int column) {
    return {column + 32 * (row / 4 % 2), row / 8 * 4 + row % 4};
  }
};

/// v_mfma_f32_16x16x16_bf16_1k and _f16 (CDNA 3: v_mfma_f32_16x16x16_bf16 and _f16). A lane has 4
/// elements of A, of B and of D.
struct f32_16x16x16 {
  static constexpr const char *bf16 = "mfma 16x16x16 bf16", *f16 = "mfma 16x16x16 f16";
  static constexpr int m = 16, n = 16, k = 16, accumulators = 4;
  static constexpr place a(int row, int column) { return {row + 16 * (column / 4), column % 4}; }
  static constexpr place b(int row, int column) { return {column + 16 * (row / 4), row % 4}; }
  static constexpr place d(int row, int column) { return {column + 16 * (row / 4), row % 4}; }
};

/// The instruction whose D has so many registers a lane.
template <int Accumulators> struct instruction_of;
template <> struct instruction_of<16> : f32_32x32x8 {};
template <> struct instruction_of<4> : f32_16x16x16 {};

}  // namespace emulation::amd
