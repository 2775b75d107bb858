// float16 and bfloat16: bit for bit the IEEE roundings, and the bits of Kokkos' own types.
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdint>
#include <random>
#include <type_traits>

#include "spaces.hpp"

static_assert(sizeof(da::float16) == 2 && alignof(da::float16) == 2);
static_assert(sizeof(da::bfloat16) == 2 && alignof(da::bfloat16) == 2);
static_assert(std::is_trivially_copyable_v<da::float16> && std::is_trivial_v<da::float16>);
static_assert(std::is_trivially_copyable_v<da::bfloat16> && std::is_trivial_v<da::bfloat16>);

namespace {

template <class Element> std::uint16_t bits(Element x) {
  return std::bit_cast<std::uint16_t>(x);
}

template <class Element, class ValueOf, class BitsOf>
void check_conversions(ValueOf value_of, BitsOf bits_of) {
  std::size_t wrong_values = 0, wrong_bits = 0;
  for (unsigned b = 0; b < 65536; ++b) {
    const auto raw = static_cast<std::uint16_t>(b);
    const float found = static_cast<float>(std::bit_cast<Element>(raw)), expected = value_of(raw);
    if (std::isnan(expected)
            ? !std::isnan(found)
            : std::bit_cast<std::uint32_t>(found) != std::bit_cast<std::uint32_t>(expected))
      ++wrong_values;
  }
  const auto check = [&](float x) {
    const std::uint16_t found = bits(Element(x));
    if (std::isnan(x) ? !std::isnan(value_of(found)) : found != bits_of(x)) ++wrong_bits;
  };
  // Every float whose lower bits are near a rounding boundary, and a million others.
  for (std::uint32_t high = 0; high < 65536; ++high)
    for (const std::uint32_t low : {0x0u, 0x1u, 0xfffu, 0x1000u, 0x1001u, 0x2fffu, 0x3000u, 0x3001u,
                                    0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      check(std::bit_cast<float>(high << 16 | low));
  std::mt19937 engine(7);
  for (int n = 0; n < 1000000; ++n)
    check(std::bit_cast<float>(static_cast<std::uint32_t>(engine())));
  CHECK(wrong_values == 0);
  CHECK(wrong_bits == 0);
}

}  // namespace

TEST_CASE("element: float16 converts to nearest, ties to even", "[element]") {
  check_conversions<da::float16>(oracle::float16_value, oracle::float16_bits);
}

TEST_CASE("element: bfloat16 converts to nearest, ties to even", "[element]") {
  check_conversions<da::bfloat16>(oracle::bfloat16_value, oracle::bfloat16_bits);
}

TEST_CASE("element: conversions on the device are the host's", "[element]") {
  using space = Kokkos::DefaultExecutionSpace;
  Kokkos::View<int, space::memory_space> wrong("wrong");
  Kokkos::parallel_for(
      "test: round trip", Kokkos::RangePolicy<space>(0, 65536), KOKKOS_LAMBDA(int b) {
        const auto raw = static_cast<std::uint16_t>(b);
        const da::float16 h = Kokkos::bit_cast<da::float16>(raw);
        const da::bfloat16 f = Kokkos::bit_cast<da::bfloat16>(raw);
        const float x = static_cast<float>(h), y = static_cast<float>(f);
        if ((x == x && da::float16(x).bits != raw) || (y == y && da::bfloat16(y).bits != raw))
          Kokkos::atomic_inc(&wrong());
      });
  int count = -1;
  Kokkos::deep_copy(count, wrong);
  CHECK(count == 0);
}

#if defined(KOKKOS_HALF_T_IS_FLOAT) && !KOKKOS_HALF_T_IS_FLOAT
TEST_CASE("element: float16 has the bits of Kokkos' half_t", "[element]") {
  using half = Kokkos::Experimental::half_t;
  STATIC_REQUIRE(sizeof(half) == 2);
  for (const float x : {0.0f, 1.0f, -2.5f, 0.1f, 65504.0f, 6e-8f})
    CHECK(std::bit_cast<std::uint16_t>(Kokkos::Experimental::cast_to_half(x)) ==
          bits(da::float16(x)));
}
#endif
#if defined(KOKKOS_BHALF_T_IS_FLOAT) && !KOKKOS_BHALF_T_IS_FLOAT
TEST_CASE("element: bfloat16 has the bits of Kokkos' bhalf_t", "[element]") {
  using bhalf = Kokkos::Experimental::bhalf_t;
  STATIC_REQUIRE(sizeof(bhalf) == 2);
  for (const float x : {0.0f, 1.0f, -2.5f, 0.1f, 1e38f, 1e-40f})
    CHECK(std::bit_cast<std::uint16_t>(Kokkos::Experimental::cast_to_bhalf(x)) ==
          bits(da::bfloat16(x)));
}
#endif
