// 16-bit floating point written out by hand: conversions to and from float, to nearest, ties to
// even.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace oracle {

inline float bfloat16_value(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

inline std::uint16_t bfloat16_bits(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// 2^n of a normal float. (std::ldexp and std::frexp are slow enough to be half of a sweep.)
inline float power_of_two(int n) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(n + 127) << 23);
}

inline float float16_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float sign = bits & 0x8000 ? -1.0f : 1.0f;
  if (exponent == 31) return fraction ? std::copysign(NAN, sign) : sign * INFINITY;
  if (exponent == 0) return sign * static_cast<float>(fraction) * power_of_two(-24);
  return sign * static_cast<float>(fraction + 1024) * power_of_two(exponent - 25);
}

inline std::uint16_t float16_bits(float value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00);
  const float magnitude = std::fabs(value);
  if (magnitude == 0) return sign;
  if (magnitude >= 65520.0f) return static_cast<std::uint16_t>(sign | 0x7c00);
  // In units of the last place, nearbyint rounds ties to even (the default rounding mode).
  const int exponent = static_cast<int>(std::bit_cast<std::uint32_t>(magnitude) >> 23) - 127;
  const int unit = std::max(exponent - 10, -24);
  const int steps = static_cast<int>(std::nearbyint(magnitude * power_of_two(-unit)));
  // A binade holds steps 1024 to 2047; 2048 carries into the next one by plain addition.
  const int bits = unit == -24 ? steps : (unit + 24) * 1024 + steps;
  return static_cast<std::uint16_t>(sign | bits);
}

}  // namespace oracle
