// The oracle is checked against closed forms and against itself: it must be beyond doubt before it
// judges the library.
#include <bit>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>

#include "oracle.hpp"
#include "oracle_masks.hpp"
#include "oracle_rounding.hpp"

namespace {

using oracle::integer;
using tensor = oracle::tensor<double>;

tensor random_tensor(integer batches, integer tokens, integer heads, integer size, unsigned seed) {
  tensor result(batches, tokens, heads, size);
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  for (double& value : result.values) value = normal(engine);
  return result;
}

double distance(const tensor& a, const tensor& b) {
  REQUIRE(a.values.size() == b.values.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i)
    if (a.values[i] != b.values[i]) worst = std::max(worst, std::fabs(a.values[i] - b.values[i]));
  return worst;
}

struct fixture {
  tensor q = random_tensor(2, 75, 4, 16, 1), k = random_tensor(2, 75, 2, 16, 2),
         v = random_tensor(2, 75, 2, 8, 3);
};

}  // namespace

TEST_CASE("oracle: K = 0 gives the mean of the visible values", "[oracle]") {
  const tensor q = random_tensor(1, 9, 1, 16, 1), k(1, 9, 1, 16);
  tensor v(1, 9, 1, 1);
  for (integer j = 0; j < 9; ++j) v(0, j, 0, 0) = static_cast<double>(j);
  const auto result = oracle::attention(q, k, v, oracle::causal());
  for (integer i = 0; i < 9; ++i) {
    CHECK(std::fabs(result.out(0, i, 0, 0) - i / 2.0) < 1e-14);
    CHECK(std::fabs(result.lse(0, i, 0, 0) - std::log(i + 1.0)) < 1e-14);
  }
}

TEST_CASE("oracle: two keys by hand, with scale, softcap and sink logit", "[oracle]") {
  tensor q(1, 1, 1, 1, 2.0), k(1, 2, 1, 1), v(1, 2, 1, 1);
  k(0, 0, 0, 0) = 3, k(0, 1, 0, 0) = -1, v(0, 0, 0, 0) = 5, v(0, 1, 0, 0) = 7;
  const oracle::parameters options{.scale = 0.5, .softcap = 4, .sink_logits = {0.25f}};
  const double a = 4 * std::tanh(3.0 / 4), b = 4 * std::tanh(-1.0 / 4);
  const double sum = std::exp(a) + std::exp(b) + std::exp(0.25);
  const auto result = oracle::attention(q, k, v, oracle::full(), options);
  CHECK(std::fabs(result.out(0, 0, 0, 0) - (5 * std::exp(a) + 7 * std::exp(b)) / sum) < 1e-14);
  CHECK(std::fabs(result.lse(0, 0, 0, 0) - std::log(sum)) < 1e-14);
}

TEST_CASE("oracle: rounded weights meet the values, and only these", "[oracle]") {
  tensor q(1, 1, 1, 1, 1.0), k(1, 2, 1, 1), v(1, 2, 1, 1);
  k(0, 0, 0, 0) = 1, k(0, 1, 0, 0) = 0.25, v(0, 0, 0, 0) = 5, v(0, 1, 0, 0) = 7;
  const auto to_a_half = [](double w) { return w == 1 ? w : 0.5; };
  for (const float logit : {-1.0f, 3.0f}) {
    const auto result = oracle::attention(
        q, k, v, oracle::full(), {.scale = 1, .sink_logits = {logit}, .weight = to_a_half});
    const double largest = std::exp(1.0), sum = largest + std::exp(0.25) + std::exp(double(logit));
    CHECK(std::fabs(result.out(0, 0, 0, 0) - largest * (5 + 7 * 0.5) / sum) < 1e-14);
    CHECK(std::fabs(result.lse(0, 0, 0, 0) - std::log(sum)) < 1e-14);
  }
}

TEST_CASE("oracle: an empty row is 0 with lse -inf, sink logit or not", "[oracle]") {
  const fixture f;
  const auto none = [](int, int, integer, integer) { return false; };
  const auto result = oracle::attention(f.q, f.k, f.v, none, {.sink_logits = {1, 2, 3, 4}});
  CHECK(distance(result.out, tensor(2, 75, 4, 8)) == 0);
  for (const double lse : result.lse.values) REQUIRE(lse == -INFINITY);
}

TEST_CASE("oracle: sink_window row by row", "[oracle]") {
  const auto row = [](const oracle::predicate& mask, integer position) {
    std::string keys;
    for (integer key = 0; key < 12; ++key) keys += mask(0, 0, position, key) ? '1' : '.';
    return keys;
  };
  CHECK(row(oracle::sink_window(2, 3), 7) == "11...111....");
  CHECK(row(oracle::sink_window(0, 1), 7) == ".......1....");
  CHECK(row(oracle::sink_window(1, 4), 2) == "111.........");
  CHECK(row(oracle::sink_window(1, 5, 4), 5) == "1..111......");  // e = 7
  CHECK(row(oracle::sink_window(0, 2, 4), 4) == "............");  // W < A: not even itself
  CHECK(row(oracle::sink_window(0, 2, 4), 7) == "......11....");
}

TEST_CASE("oracle: merging two halves of the keys gives the whole", "[oracle]") {
  const fixture f;
  const auto even = [](int, int, integer p, integer j) { return j <= p && j % 2 == 0; };
  const auto odd = [](int, int, integer p, integer j) { return j <= p && j % 2 == 1; };
  const auto whole = oracle::attention(f.q, f.k, f.v, oracle::causal());
  const auto merged =
      oracle::merge(oracle::attention(f.q, f.k, f.v, even), oracle::attention(f.q, f.k, f.v, odd));
  CHECK(distance(whole.out, merged.out) < 1e-14);
  CHECK(distance(whole.lse, merged.lse) < 1e-14);
}

TEST_CASE("oracle: identities of the correction", "[oracle]") {
  const fixture f;
  const auto mask = oracle::sink_window(3, 7);
  const auto dense = oracle::attention(f.q, f.k, f.v, oracle::causal());
  const auto sparse = oracle::attention(f.q, f.k, f.v, mask);
  using oracle::correction;

  const auto stride_1 = oracle::delta(f.q, f.k, f.v, mask, {.stride = 1, .tail = 0});
  CHECK(distance(stride_1.out, dense.out) == 0);
  CHECK(distance(stride_1.lse, dense.lse) == 0);
  const auto all_tail = oracle::delta(f.q, f.k, f.v, mask, {.stride = 16});
  CHECK(distance(all_tail.out, dense.out) == 0);
  const auto none =
      oracle::delta(f.q, f.k, f.v, mask, {.stride = 16, .correction = correction::none});
  CHECK(distance(none.out, sparse.out) == 0);
  CHECK(distance(none.lse, sparse.lse) == 0);

  const auto delta = oracle::delta(f.q, f.k, f.v, mask, {.stride = 16, .average = 3, .tail = 5});
  const auto recompute = oracle::delta(
      f.q, f.k, f.v, mask, {.stride = 16, .correction = correction::recompute, .tail = 5});
  for (const integer row : {0, 16, 32, 64, 70, 74})
    for (integer e = 0; e < 8; ++e) {
      CHECK(delta.out(1, row, 3, e) == dense.out(1, row, 3, e));
      CHECK(recompute.out(1, row, 3, e) == dense.out(1, row, 3, e));
      CHECK(delta.lse(1, row, 3, 0) == dense.lse(1, row, 3, 0));
    }
  for (integer e = 0; e < 8; ++e) {
    const auto difference = [&](integer a) {
      return dense.out(1, a, 3, e) - sparse.out(1, a, 3, e);
    };
    CHECK(recompute.out(1, 69, 3, e) == sparse.out(1, 69, 3, e));
    const double mean_3 = (difference(64) + difference(48) + difference(32)) / 3;
    CHECK(std::fabs(delta.out(1, 69, 3, e) - sparse.out(1, 69, 3, e) - mean_3) < 1e-14);
    const double mean_2 = (difference(16) + difference(0)) / 2;
    CHECK(std::fabs(delta.out(1, 30, 3, e) - sparse.out(1, 30, 3, e) - mean_2) < 1e-14);
  }
  CHECK(delta.lse(1, 69, 3, 0) == sparse.lse(1, 69, 3, 0));
}

TEST_CASE("oracle: a later chunk gives the same rows as the whole prompt", "[oracle]") {
  const fixture f;
  const auto mask = oracle::sink_window(3, 7, 4);
  const auto whole = oracle::delta(f.q, f.k, f.v, mask, {.stride = 16, .tail = 9});
  tensor chunk(2, 75 - 32, 4, 16);
  for (integer b = 0; b < 2; ++b)
    for (integer i = 0; i < chunk.tokens; ++i)
      std::memcpy(chunk.row(b, i, 0), f.q.row(b, i + 32, 0), 4 * 16 * sizeof(double));
  const auto part = oracle::delta(chunk, f.k, f.v, mask, {.stride = 16, .tail = 9});
  for (integer i = 0; i < chunk.tokens; ++i)
    CHECK(part.out(1, i, 2, 5) == whole.out(1, i + 32, 2, 5));
}

TEST_CASE("oracle: rounding to 16 bits is to nearest, ties to even", "[oracle]") {
  const auto check = [](auto value_of, auto bits_of, unsigned infinity) {
    for (unsigned bits = 0; bits < infinity; ++bits) {
      const float low = value_of(static_cast<std::uint16_t>(bits));
      REQUIRE(bits_of(low) == bits);
      REQUIRE(bits_of(-low) == (bits | 0x8000));
      if (bits + 1 == infinity) break;
      const float high = value_of(static_cast<std::uint16_t>(bits + 1));
      const float middle = low + (high - low) / 2;
      REQUIRE(bits_of(middle) == bits + (bits & 1));
      REQUIRE(bits_of(std::nextafter(middle, low)) == bits);
      REQUIRE(bits_of(std::nextafter(middle, high)) == bits + 1);
    }
    REQUIRE(bits_of(INFINITY) == infinity);
    REQUIRE(bits_of(std::numeric_limits<float>::max()) == infinity);
    REQUIRE(std::isnan(value_of(bits_of(NAN))));
  };
  check(oracle::float16_value, oracle::float16_bits, 0x7c00);
  check(oracle::bfloat16_value, oracle::bfloat16_bits, 0x7f80);
  CHECK(oracle::float16_bits(1.0f) == 0x3c00);
  CHECK(oracle::float16_value(0x3555) == 0.333251953125f);
  CHECK(oracle::bfloat16_bits(1.0f) == 0x3f80);
}
