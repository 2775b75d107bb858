// The error bounds that the host's vector functions claim, against the C library in double.
#include <algorithm>
#include <bit>
#include <catch2/catch_template_test_macros.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

#include <delta_attention/arch/vector_elements.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
namespace arch = delta_attention::arch;

namespace {
template <class F> float first_lane(const F& f, float x) {
  float lanes[arch::vector_width];
  arch::save(lanes, f(arch::broadcast(x)));
  return lanes[0];
}
float exp2_of(float x) {
  return first_lane([](arch::vector v) { return arch::exp2(v); }, x);
}
float tanh_of(float x) {
  return first_lane([](arch::vector v) { return arch::tanh(v); }, x);
}
}  // namespace

TEST_CASE("vector: exp2 is within 2e-7 from -126 to 126, and 1 of 0", "[vector]") {
  double worst = 0;
  for (double x = -126; x <= 126; x += 0.000731) {
    const double truth = std::exp2(static_cast<double>(static_cast<float>(x)));
    worst = std::max(worst, std::fabs(exp2_of(static_cast<float>(x)) / truth - 1));
  }
  CAPTURE(worst);
  CHECK(worst < 2e-7);
  CHECK(exp2_of(0) == 1);
}

TEST_CASE("vector: exp2 of less than -126.5 is exactly 0, of NaN is NaN", "[vector]") {
  for (const float x : {-126.5F, -127.F, -1e6F, -1e30F, std::numeric_limits<float>::lowest(),
                        -std::numeric_limits<float>::infinity()}) {
    CAPTURE(x);
    CHECK(std::bit_cast<std::uint32_t>(exp2_of(x)) == 0);
  }
  for (const float x : {-126.49F, -126.25F, -126.01F}) {
    CAPTURE(x);
    const double result = exp2_of(x);
    CHECK((result == 0 || std::fabs(result - std::exp2(static_cast<double>(x))) < 0x1p-148));
  }
  for (const std::uint32_t bits : {0x7fc00000U, 0xffc00000U, 0x7fc00001U, 0xffc001ffU}) {
    CAPTURE(bits);
    CHECK(std::isnan(exp2_of(std::bit_cast<float>(bits))));
  }
}

TEST_CASE("vector: tanh is within 3e-7 of itself, also near 0", "[vector]") {
  double worst = 0;
  for (double x = 1e-8; x < 40; x *= 1.0007)
    for (const float y : {static_cast<float>(x), static_cast<float>(-x)})
      worst = std::max(worst, std::fabs(tanh_of(y) / std::tanh(static_cast<double>(y)) - 1));
  CAPTURE(worst);
  CHECK(worst < 3e-7);
  CHECK(tanh_of(0) == 0);
}

TEST_CASE("vector: all lanes are a number", "[vector]") {
  constexpr int lanes = 3 * arch::vector_width;
  const auto are = [](float x, float other, int place) {
    float values[lanes];
    std::fill_n(values, lanes, x);
    values[place] = other;
    return arch::row_vectors<3>::from(values).all_are(x);
  };
  CHECK(are(1, 1, 0));
  CHECK(are(0, -0.F, 5));
  for (const int place : {0, lanes / 2, lanes - 1}) {
    CHECK_FALSE(are(1, 1 + 0x1p-23F, place));
    CHECK_FALSE(are(1, std::numeric_limits<float>::quiet_NaN(), place));
  }
}

TEMPLATE_TEST_CASE("vector: elements become floats, and floats elements, as one by one", "[vector]",
                   delta_attention::float16, delta_attention::bfloat16) {
  constexpr int width = arch::vector_width;
  int wrong = 0;
  const auto differ = [](float a, float b) {  // (a zero has a sign)
    return std::isnan(a) ? !std::isnan(b)
                         : std::bit_cast<std::uint32_t>(a) != std::bit_cast<std::uint32_t>(b);
  };
  for (std::uint32_t first = 0; first < 65536; first += width) {
    TestType x[width], back[width];
    float lanes[width];
    for (int i = 0; i < width; ++i)
      x[i] = std::bit_cast<TestType>(static_cast<std::uint16_t>(first + i));
    arch::save(lanes, arch::load_elements(x));
    for (int i = 0; i < width; ++i) wrong += differ(lanes[i], static_cast<float>(x[i]));
    // Between this element and the next one, half of the way and to both sides of it.
    for (const std::uint32_t less : {0u, 0x0fffu, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0x8001u}) {
      for (float& lane : lanes)
        lane = std::bit_cast<float>(std::bit_cast<std::uint32_t>(lane) + less);
      arch::save_elements(back, arch::load(lanes));
      for (int i = 0; i < width; ++i)
        wrong += differ(static_cast<float>(back[i]), static_cast<float>(TestType(lanes[i])));
    }
  }
  CHECK(wrong == 0);
}
#endif
