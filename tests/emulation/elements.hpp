// Elements of 16 bits as numbers, and where a matrix instruction finds them.
#pragma once

#include <delta_attention/tensor/element.hpp>
#include <type_traits>
#include <vector>

#include "../oracle_rounding.hpp"

namespace emulation {

/// Where an element of a matrix lies: in which lane, and as which of the lane's elements (of 16-bit
/// elements two in a 32-bit register, the lower half first).
struct place {
  int lane, element;
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
/// The number of an element among a lane's registers.
template <class Element> float element_of(const std::uint32_t* registers, int element) {
  return value_of<Element>(registers[element / 2] >> element % 2 * 16);
}

/// Two numbers rounded to nearest even, in one register.
template <class Element> std::uint32_t pack(float low, float high) {
  const auto bits = [](float x) -> std::uint32_t {
    return std::is_same_v<Element, delta_attention::float16> ? oracle::float16_bits(x)
                                                             : oracle::bfloat16_bits(x);
  };
  return bits(low) | bits(high) << 16;
}

/// D += A B of one instruction. Layout says where the elements are; `operands(lane)` are a lane's
/// registers: float* d and arrays of words a.v and b.v.
template <class Layout, class Element, class Operands> void multiply_add(const Operands& operands) {
  float a[Layout::m][Layout::k], b[Layout::k][Layout::n];
  for (int i = 0; i < Layout::m; ++i)
    for (int k = 0; k < Layout::k; ++k) {
      const place p = Layout::a(i, k);
      a[i][k] = element_of<Element>(operands(p.lane).a.v, p.element);
    }
  for (int k = 0; k < Layout::k; ++k)
    for (int j = 0; j < Layout::n; ++j) {
      const place p = Layout::b(k, j);
      b[k][j] = element_of<Element>(operands(p.lane).b.v, p.element);
    }
  for (int i = 0; i < Layout::m; ++i) {
    float sum[Layout::n] = {};
    for (int k = 0; k < Layout::k; ++k)
      for (int j = 0; j < Layout::n; ++j) sum[j] += a[i][k] * b[k][j];
    for (int j = 0; j < Layout::n; ++j) {
      const place p = Layout::d(i, j);
      operands(p.lane).d[p.element] += sum[j];
    }
  }
}

}  // namespace emulation
