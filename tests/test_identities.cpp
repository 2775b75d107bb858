// What must hold between calls of the public functions, whatever the oracle says.
#include <catch2/catch_template_test_macros.hpp>
#include <cmath>
#include <functional>

#include "call_delta.hpp"

namespace {

using oracle::correction;
using values = oracle::tensor<double>;

const shape usual{.batches = 2,
                  .queries = 237,
                  .keys = 237,
                  .query_heads = 4,
                  .kv_heads = 2,
                  .size = 40,
                  .value_size = 24};
const da::sink_window window{.sinks = 5, .window = 20};

double distance(const values& a, const values& b) {
  REQUIRE(a.values.size() == b.values.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.values.size(); ++i) {
    const double difference = std::fabs(a.values[i] - b.values[i]);
    if (a.values[i] == b.values[i]) continue;  // infinities
    worst = std::max(worst, std::isnan(difference) ? INFINITY : difference);
  }
  return worst;
}

values rows(const values& whole, integer first, integer count) {
  values part(whole.batches, count, whole.heads, whole.size);
  for (integer b = 0; b < whole.batches; ++b)
    for (integer i = 0; i < count; ++i)
      for (integer h = 0; h < whole.heads; ++h)
        for (integer e = 0; e < whole.size; ++e) part(b, i, h, e) = whole(b, first + i, h, e);
  return part;
}

// The rows first, first + 1, ... of a problem as a call of their own, over all keys or those so
// far.
template <class Exec, class Element>
problem<Exec, Element> chunk(const problem<Exec, Element>& whole, integer first, integer count,
                             bool all_keys) {
  shape s = whole.sizes;
  s.queries = count;
  if (!all_keys) s.keys = first + count;
  oracle::parameters options = whole.options;
  options.query_offset = first;
  problem<Exec, Element> part(s, options);
  for (integer b = 0; b < s.batches; ++b) {
    std::copy_n(whole.q.row(b, first, 0), count * s.query_heads * s.size, part.q.row(b, 0, 0));
    std::copy_n(whole.k.row(b, 0, 0), s.keys * s.kv_heads * s.size, part.k.row(b, 0, 0));
    std::copy_n(whole.v.row(b, 0, 0), s.keys * s.kv_heads * s.value_size, part.v.row(b, 0, 0));
  }
  return part;
}

// Rounding of a few hundred terms of order 1 in fp32.
constexpr double nearby = 5e-6;

}  // namespace

TEMPLATE_LIST_TEST_CASE("identity: stride 1 is dense", "[identity]", best_setups) {
  problem_of<TestType> p(usual);
  const auto dense = run_attention<best_family>(p, da::causal{});
  const auto delta = run_delta<best_family>(p, window, {.stride = 1, .tail = 0});
  CHECK(distance(delta.out, dense.out) < nearby);
  CHECK(distance(delta.lse, dense.lse) < nearby);
}

TEMPLATE_LIST_TEST_CASE("identity: a window over everything leaves no correction", "[identity]",
                        best_setups) {
  problem_of<TestType> p(usual);
  const da::sink_window wide{.sinks = 0, .window = usual.keys};
  const auto dense = run_attention<best_family>(p, da::causal{});
  const auto sparse = run_attention<best_family>(p, wide);
  CHECK(distance(sparse.out, dense.out) < nearby);
  for (const correction c : {correction::none, correction::recompute, correction::delta}) {
    const auto delta =
        run_delta<best_family>(p, wide, {.stride = 16, .correction = c, .average = 2, .tail = 9});
    CHECK(distance(delta.out, dense.out) < nearby);
    CHECK(distance(delta.lse, dense.lse) < nearby);
  }
}

TEMPLATE_LIST_TEST_CASE("identity: anchors and tail are dense, the rest keeps the sparse lse",
                        "[identity]", best_setups) {
  problem_of<TestType> p(usual);
  const auto dense = run_attention<best_family>(p, da::causal{});
  const auto sparse = run_attention<best_family>(p, window);
  const auto delta = run_delta<best_family>(p, window, {.stride = 32, .tail = 20});
  const auto recompute = run_delta<best_family>(
      p, window, {.stride = 32, .correction = correction::recompute, .tail = 20});
  const auto none =
      run_delta<best_family>(p, window, {.stride = 32, .correction = correction::none});
  for (integer i = 0; i < usual.queries; ++i) {
    const bool is_dense = i % 32 == 0 || i >= usual.queries - 20;
    CAPTURE(i);
    for (const auto* result : {&delta, &recompute}) {
      REQUIRE(distance(rows(result->lse, i, 1), rows((is_dense ? dense : sparse).lse, i, 1)) <
              nearby);
      if (is_dense) REQUIRE(distance(rows(result->out, i, 1), rows(dense.out, i, 1)) < nearby);
    }
    if (!is_dense) REQUIRE(distance(rows(recompute.out, i, 1), rows(sparse.out, i, 1)) < nearby);
  }
  CHECK(distance(none.out, sparse.out) < nearby);
  CHECK(distance(none.lse, sparse.lse) < nearby);
}

TEMPLATE_LIST_TEST_CASE("identity: constant values stay constant", "[identity]", best_setups) {
  problem_of<TestType> p(usual);
  std::fill(p.v.values.begin(), p.v.values.end(), 1.75);
  values constant(usual.batches, usual.queries, usual.query_heads, usual.value_size, 1.75);
  CHECK(distance(run_attention<best_family>(p, window).out, constant) < nearby);
  for (const integer average : {1, 4})
    CHECK(distance(
              run_delta<best_family>(p, window, {.stride = 16, .average = average, .tail = 3}).out,
              constant) < nearby);
}

TEMPLATE_LIST_TEST_CASE("identity: the closed form for K = 0, v_j = j", "[identity]", best_setups) {
  constexpr integer sinks = 5, width = 20, stride = 32;
  problem_of<TestType> p(usual);
  std::fill(p.k.values.begin(), p.k.values.end(), 0);
  for (integer b = 0; b < usual.batches; ++b)
    for (integer j = 0; j < usual.keys; ++j)
      for (integer e = 0; e < usual.kv_heads * usual.value_size; ++e)
        p.v.row(b, j, 0)[e] = static_cast<double>(j);
  const auto delta = run_delta<best_family>(p, da::sink_window{.sinks = sinks, .window = width},
                                            {.stride = stride, .tail = 0});
  for (integer i = stride; i < usual.queries; ++i) {
    const integer anchor = i / stride * stride;
    REQUIRE(anchor >= sinks + width - 1);
    const double expected = static_cast<double>(anchor) / 2 +
                            static_cast<double>(width * (i - anchor)) / (sinks + width);
    CAPTURE(i, expected);
    for (integer e = 0; e < usual.value_size; ++e)
      REQUIRE(std::fabs(delta.out(1, i, 3, e) - expected) < 1e-4);
  }
}

TEMPLATE_LIST_TEST_CASE("identity: a vector added to every key changes nothing", "[identity]",
                        best_setups) {
  problem_of<TestType> p(usual);
  const auto before = run_delta<best_family>(p, window, {.stride = 16, .average = 2, .tail = 3});
  for (integer b = 0; b < usual.batches; ++b)
    for (integer j = 0; j < usual.keys; ++j)
      for (integer h = 0; h < usual.kv_heads; ++h)
        for (integer e = 0; e < usual.size; ++e) p.k(b, j, h, e) += 0.25 * (e % 3 - 1);
  const auto after = run_delta<best_family>(p, window, {.stride = 16, .average = 2, .tail = 3});
  CHECK(distance(before.out, after.out) < 4 * nearby);
}

TEMPLATE_LIST_TEST_CASE("identity: later keys do not matter, to the last bit", "[identity]",
                        best_setups) {
  constexpr integer cut = 150;
  problem_of<TestType> p(usual);
  // By 300: later rows' scores rise by much.
  for (const double factor : {-2, 300}) {
    problem_of<TestType> changed(usual);
    for (integer b = 0; b < usual.batches; ++b)
      for (integer j = cut; j < usual.keys; ++j) {
        for (integer e = 0; e < usual.kv_heads * usual.size; ++e)
          changed.k.row(b, j, 0)[e] *= factor;
        for (integer e = 0; e < usual.kv_heads * usual.value_size; ++e)
          changed.v.row(b, j, 0)[e] += 100;
      }
    const auto compare = [&](const results& a, const results& b) {
      CHECK(compare_exactly(rows(a.out, 0, cut), rows(b.out, 0, cut)) == "");
      CHECK(compare_exactly(rows(a.lse, 0, cut), rows(b.lse, 0, cut)) == "");
      CHECK(compare_exactly(rows(a.out, cut, 1), rows(b.out, cut, 1)) != "");
    };
    compare(run_attention<best_family>(p, da::causal{}),
            run_attention<best_family>(changed, da::causal{}));
    const oracle::delta_parameters method{.stride = 16, .average = 2, .tail = 3};
    compare(run_delta<best_family>(p, window, method),
            run_delta<best_family>(changed, window, method));
    // full under delta is causal
    compare(run_delta<best_family>(p, da::full{}, method),
            run_delta<best_family>(changed, da::full{}, method));
  }
}

TEMPLATE_LIST_TEST_CASE("identity: grouped heads are repeated heads", "[identity]", best_setups) {
  problem_of<TestType> grouped(usual);
  shape s = usual;
  s.kv_heads = s.query_heads;
  problem_of<TestType> repeated(s);
  repeated.q = grouped.q;
  for (integer b = 0; b < s.batches; ++b)
    for (integer j = 0; j < s.keys; ++j)
      for (integer h = 0; h < s.query_heads; ++h) {
        std::copy_n(grouped.k.row(b, j, h / 2), s.size, repeated.k.row(b, j, h));
        std::copy_n(grouped.v.row(b, j, h / 2), s.value_size, repeated.v.row(b, j, h));
      }
  const oracle::delta_parameters method{.stride = 16, .average = 3};
  CHECK(distance(run_attention<best_family>(grouped, da::causal{}).out,
                 run_attention<best_family>(repeated, da::causal{}).out) < nearby);
  CHECK(distance(run_delta<best_family>(grouped, window, method).out,
                 run_delta<best_family>(repeated, window, method).out) < nearby);
}

TEMPLATE_LIST_TEST_CASE("identity: chunks give the rows of the whole prompt", "[identity]",
                        best_setups) {
  problem_of<TestType> p(usual);
  constexpr integer size = 64;
  const da::sink_window aligned{.sinks = 5, .window = 20, .align = 16};
  const auto dense = run_attention<best_family>(p, da::causal{});
  const auto sparse = run_attention<best_family>(p, aligned);
  const auto delta = run_delta<best_family>(p, aligned, {.stride = 32, .tail = 21});
  const auto tailless = run_delta<best_family>(p, aligned, {.stride = 32, .tail = 0});
  for (const bool all_keys : {false, true})
    for (integer first = 0; first < usual.queries; first += size) {
      CAPTURE(all_keys, first);
      const integer count = std::min(size, usual.queries - first);
      const bool last = first + count == usual.queries;
      auto part = chunk(p, first, count, all_keys);
      const auto same = [&](const results& whole, const results& chunked) {
        CHECK(distance(chunked.out, rows(whole.out, first, count)) < nearby);
        CHECK(distance(chunked.lse, rows(whole.lse, first, count)) < nearby);
      };
      same(dense, run_attention<best_family>(part, da::causal{}));
      same(sparse, run_attention<best_family>(part, aligned));
      same(tailless, run_delta<best_family>(part, aligned, {.stride = 32, .tail = 0}));
      same(delta, run_delta<best_family>(part, aligned, {.stride = 32, .tail = last ? 21 : 0}));
    }
}

TEMPLATE_LIST_TEST_CASE("identity: an average is the mean of the single corrections", "[identity]",
                        best_setups) {
  problem_of<TestType> p(usual);
  constexpr integer stride = 16;
  const auto sparse = run_attention<best_family>(p, window);
  const auto single = run_delta<best_family>(p, window, {.stride = stride, .tail = 0});
  for (const integer average : {2, 3, 100}) {
    const auto mean =
        run_delta<best_family>(p, window, {.stride = stride, .average = average, .tail = 0});
    double worst = 0;
    for (integer i = 0; i < usual.queries; ++i) {
      if (i % stride == 0 || (i + 1) / stride != i / stride) continue;
      for (integer e = 0; e < usual.value_size; ++e) {
        // Row a + 1 of a group shows its anchor's difference.
        double sum = 0;
        integer count = 0;
        for (integer a = i / stride * stride; a >= 0 && count < average; a -= stride, ++count)
          sum += single.out(1, a + 1, 3, e) - sparse.out(1, a + 1, 3, e);
        worst = std::max(worst, std::fabs(mean.out(1, i, 3, e) - sparse.out(1, i, 3, e) -
                                          sum / static_cast<double>(count)));
      }
    }
    CHECK(worst < nearby);
  }
}

TEMPLATE_LIST_TEST_CASE(
    "identity: the default scale is the head size's, the default offset aligns the ends",
    "[identity]", best_setups) {
  shape s = usual;
  s.queries = 100;
  problem_of<TestType> p(s), explicitly(s, {.scale = 1 / std::sqrt(static_cast<double>(s.size)),
                                            .query_offset = s.keys - s.queries});
  CHECK(compare_exactly(run_attention<best_family>(p, window).out,
                        run_attention<best_family>(explicitly, window).out) == "");
}

TEMPLATE_LIST_TEST_CASE("identity: without lse the output is the same", "[identity]", best_setups) {
  problem_of<TestType> p(usual);
  const auto with = run_attention<best_family>(p, window);
  const auto delta_with = run_delta<best_family>(p, window, {.stride = 16});
  p.upload();
  da::attention(p.exec, p.q_buffer.view(), p.k_buffer.view(), p.v_buffer.view(),
                p.out_buffer.view(), window);
  p.exec.fence();
  CHECK(compare_exactly(p.out_buffer.download(), with.out) == "");
  p.upload();
  da::delta_attention(p.exec, p.q_buffer.view(), p.k_buffer.view(), p.v_buffer.view(),
                      p.out_buffer.view(), window, da::delta{.stride = 16});
  p.exec.fence();
  CHECK(compare_exactly(p.out_buffer.download(), delta_with.out) == "");
}
