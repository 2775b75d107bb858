// What NVIDIA's warp-wide instructions do to the registers of a warp, written from the PTX ISA and
// from nothing else: these functions know neither fibers nor atoms.
#pragma once

#include <delta_attention/arch/words.hpp>
#include <delta_attention/tensor/element.hpp>
#include <type_traits>
#include <vector>

#include "../oracle_rounding.hpp"

namespace emulation::cuda {

using delta_attention::arch::words4;

/// Where an element of a matrix lies: in which lane, and as which of the lane's elements (two in a
/// 32-bit register, the lower half first).
struct place {
  int lane, element;
};

/// PTX ISA, "Matrix Fragments for mma.m16n8k16 with floating point type". There, groupID =
/// lane >> 2 and threadID_in_group = lane % 4.
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

/// The number that 16 bits stand for.
template <class Element> float value_of(std::uint32_t bits) {
  static const std::vector<float> values = [] {
    std::vector<float> all(65536);
    for (std::uint32_t i = 0; i < all.size(); ++i)
      all[i] = std::is_same_v<Element, delta_attention::float16>
                   ? oracle::float16_value(static_cast<std::uint16_t>(i))
                   : oracle::bfloat16_value(static_cast<std::uint16_t>(i));
    return all;
  }();
  return values[bits & 0xffff];
}

/// Two numbers rounded to nearest even, as cvt.rn.f16x2.f32 and cvt.rn.bf16x2.f32 pack them.
template <class Element> std::uint32_t pack(float low, float high) {
  const auto bits = [](float x) -> std::uint32_t {
    return std::is_same_v<Element, delta_attention::float16> ? oracle::float16_bits(x)
                                                             : oracle::bfloat16_bits(x);
  };
  return bits(low) | bits(high) << 16;
}

/// mma.sync.aligned.m16n8k16.row.col.f32.E.E.f32, D += A B. `operands(lane)` are a lane's
/// registers: float* d, words4 a, std::uint32_t b[2].
template <class Element, class Operands> void multiply(const Operands& operands) {
  using layout = m16n8k16;
  const auto half = [](const std::uint32_t* registers, int element) {
    return value_of<Element>(registers[element / 2] >> element % 2 * 16);
  };
  float a[layout::m][layout::k], b[layout::k][layout::n];
  for (int i = 0; i < layout::m; ++i)
    for (int k = 0; k < layout::k; ++k) {
      const place p = layout::a(i, k);
      a[i][k] = half(operands(p.lane).a.v, p.element);
    }
  for (int k = 0; k < layout::k; ++k)
    for (int j = 0; j < layout::n; ++j) {
      const place p = layout::b(k, j);
      b[k][j] = half(operands(p.lane).b, p.element);
    }
  for (int i = 0; i < layout::m; ++i) {
    float sum[layout::n] = {};
    for (int k = 0; k < layout::k; ++k)
      for (int j = 0; j < layout::n; ++j) sum[j] += a[i][k] * b[k][j];
    for (int j = 0; j < layout::n; ++j) {
      const place p = layout::d(i, j);
      operands(p.lane).d[p.element] += sum[j];
    }
  }
}

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
