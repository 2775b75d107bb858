// From the element types of GGUF files to float.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "gguf.hpp"

namespace prefill {

inline float half_to_float(std::uint16_t half) {
  std::uint32_t const sign = std::uint32_t(half & 0x8000u) << 16;
  std::uint32_t const exponent = (half >> 10) & 31u;
  std::uint32_t const mantissa = half & 1023u;
  if (exponent == 0) {  // zero and subnormals: mantissa * 2^-24 is exact in float
    float const magnitude = float(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  std::uint32_t const widened = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | widened << 23 | mantissa << 13);
}

/// How the file packs elements: `size` bytes hold `count` of them.
struct block_layout {
  std::size_t count;
  std::size_t size;
};

inline block_layout layout_of(element type) {
  switch (type) {
    case element::f32: return {1, 4};
    case element::f16: return {1, 2};
    case element::bf16: return {1, 2};
    case element::q8_0: return {32, 34};
    case element::q4_0: return {32, 18};
    case element::q4_1: return {32, 20};
  }
  throw std::runtime_error("cannot read weights of ggml's element type " +
                           std::to_string(std::uint32_t(type)) +
                           "; this program reads F32, F16, BF16, Q8_0, Q4_0 and Q4_1. "
                           "Take the model in one of these");
}

inline void dequantise_block(element type, char const* block, float* out) {
  auto const half_at = [block](std::size_t offset) {
    std::uint16_t bits;
    std::memcpy(&bits, block + offset, 2);
    return bits;
  };
  // Four-bit blocks of 32: the low halves of the 16 bytes come first, then the high halves.
  auto const nibbles = [out](char const* bytes, float scale, float minimum) {
    for (int i = 0; i < 16; ++i) {
      auto const byte = static_cast<unsigned char>(bytes[i]);
      out[i] = float(byte & 15) * scale + minimum;
      out[i + 16] = float(byte >> 4) * scale + minimum;
    }
  };
  switch (type) {
    case element::f32: std::memcpy(out, block, 4); break;
    case element::f16: *out = half_to_float(half_at(0)); break;
    case element::bf16: *out = std::bit_cast<float>(std::uint32_t(half_at(0)) << 16); break;
    case element::q8_0: {
      float const scale = half_to_float(half_at(0));
      for (int i = 0; i < 32; ++i) out[i] = scale * float(static_cast<signed char>(block[2 + i]));
      break;
    }
    case element::q4_0: {
      float const scale = half_to_float(half_at(0));
      nibbles(block + 2, scale, -8 * scale);
      break;
    }
    case element::q4_1:
      nibbles(block + 4, half_to_float(half_at(0)), half_to_float(half_at(2)));
      break;
  }
}

/// Fills out[0, count); count is a multiple of the type's block.
inline void dequantise(element type, std::string_view bytes, float* out, std::size_t count) {
  auto const [block, size] = layout_of(type);
  for (std::size_t i = 0; i < count / block; ++i)
    dequantise_block(type, bytes.data() + i * size, out + i * block);
}

}  // namespace prefill
