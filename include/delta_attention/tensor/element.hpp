#pragma once

#include <Kokkos_Core.hpp>

#include <cstdint>
#include <type_traits>

namespace delta_attention {

/// IEEE binary16, 16 bits of storage; the bits are those of CUDA's __half, HIP's __half and Kokkos'
/// half_t.
struct float16 {
  /// Sign, 5 bits of exponent, 10 of fraction.
  std::uint16_t bits;

  /// Not initialised, as a float.
  float16() = default;
  /// Rounds to nearest, ties to even.
  KOKKOS_INLINE_FUNCTION explicit float16(float x);
  /// Exact.
  KOKKOS_INLINE_FUNCTION operator float() const;
};

/// bfloat16, 16 bits of storage; the bits are those of CUDA's __nv_bfloat16, HIP's hip_bfloat16 and
/// Kokkos' bhalf_t.
struct bfloat16 {
  /// Sign, 8 bits of exponent, 7 of fraction: the upper half of a float.
  std::uint16_t bits;

  /// Not initialised, as a float.
  bfloat16() = default;
  /// Rounds to nearest, ties to even.
  KOKKOS_INLINE_FUNCTION explicit bfloat16(float x);
  /// Exact.
  KOKKOS_INLINE_FUNCTION operator float() const;
};

/// Is T a type that tensors may have?
template <class T>
inline constexpr bool is_element = std::is_same_v<T, float> || std::is_same_v<T, double> ||
                                   std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>;

/// What softmax and sums are computed in, and what lse is given in.
template <class Element>
using accumulator_of = std::conditional_t<std::is_same_v<Element, double>, double, float>;

/// The type's name: "float", "double", "float16" or "bfloat16".
template <class Element> constexpr const char* element_name() {
  if constexpr (std::is_same_v<Element, float>) return "float";
  if constexpr (std::is_same_v<Element, double>) return "double";
  if constexpr (std::is_same_v<Element, float16>) return "float16";
  if constexpr (std::is_same_v<Element, bfloat16>) return "bfloat16";
}

// All conversions round to nearest, ties to even, and are free of branches, so that a loop over
// them vectorises.

KOKKOS_INLINE_FUNCTION float16::float16(float x) {
  const std::uint32_t u = Kokkos::bit_cast<std::uint32_t>(x), sign = (u >> 16) & 0x8000u,
                      magnitude = u & 0x7fffffffu;
  // From 2^-14 on: rebias the exponent, round the 13 bits that fall away; 65520 and more carry into
  // infinity.
  const std::uint32_t normal = (magnitude + 0xc8000fffu + ((magnitude >> 13) & 1u)) >> 13;
  // Below: the sum with 0.5 leaves the denormal's bits at the bottom, rounded by the hardware.
  const std::uint32_t small =
      Kokkos::bit_cast<std::uint32_t>(Kokkos::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t finite = magnitude < 0x38800000u ? small : normal;
  const std::uint32_t special = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  bits = static_cast<std::uint16_t>(sign | (magnitude >= 0x477ff000u ? special : finite));
}
KOKKOS_INLINE_FUNCTION float16::operator float() const {
  const std::uint32_t sign = std::uint32_t(bits & 0x8000u) << 16, magnitude = bits & 0x7fffu;
  const float scaled = Kokkos::bit_cast<float>(magnitude << 13) * 0x1p112f;
  const std::uint32_t special = magnitude >= 0x7c00u ? 0x7f800000u : 0u;
  return Kokkos::bit_cast<float>(Kokkos::bit_cast<std::uint32_t>(scaled) | special | sign);
}
KOKKOS_INLINE_FUNCTION bfloat16::bfloat16(float x) {
  const std::uint32_t u = Kokkos::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, quiet_nan = (u >> 16) | 64u;
  bits = static_cast<std::uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
}
KOKKOS_INLINE_FUNCTION bfloat16::operator float() const {
  return Kokkos::bit_cast<float>(std::uint32_t(bits) << 16);
}

}  // namespace delta_attention
