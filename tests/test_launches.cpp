// What shows up only over many launches or in large tensors: bits that differ from call to call,
// launches that meet on several streams, 32-bit arithmetic on addresses.
#include <array>
#include <catch2/catch_template_test_macros.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "call_delta.hpp"

namespace {

const shape usual{.batches = 2,
                  .queries = 300,
                  .keys = 300,
                  .query_heads = 8,
                  .kv_heads = 2,
                  .size = 128,
                  .value_size = 128};
const shape few{.queries = 1, .keys = 5000, .query_heads = 8, .kv_heads = 2, .size = 64};
const da::sink_window window{.sinks = 5, .window = 70};

using exec_space = Kokkos::DefaultExecutionSpace;
using sixteen_bit_setups = concatenated<setups_with<da::bfloat16>, setups_with<da::float16>>;
using huge_tensor = Kokkos::View<da::bfloat16****, Kokkos::LayoutRight, exec_space>;

huge_tensor random_tensor(const std::string& name, integer tokens, integer heads, integer size) {
  huge_tensor x(Kokkos::view_alloc(name, Kokkos::WithoutInitializing), 1, tokens, heads, size);
  da::bfloat16* const data = x.data();
  Kokkos::parallel_for(
      "test: noise", Kokkos::RangePolicy<exec_space, Kokkos::IndexType<integer>>(0, x.size()),
      KOKKOS_LAMBDA(integer i) {
        std::uint64_t bits = static_cast<std::uint64_t>(i) * 0x9e3779b97f4a7c15u;
        bits = (bits ^ (bits >> 32)) * 0xd6e8feb86659fd93u;
        data[i] = da::bfloat16(static_cast<float>(bits >> 40) * 0x1p-23f - 1.0f);
      });
  return x;
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("launches: the same call gives the same bits", "[launches]",
                        setups_with<da::bfloat16>) {
  using family = typename TestType::family;
  for (const shape& s : {usual, few}) {
    problem_of<TestType> p(s);
    const auto dense = run_attention<family>(p, da::causal{});
    const auto delta = run_delta<family>(p, window, {.stride = 16, .average = 3});
    for (int n = 0; n < 5; ++n) {
      CHECK(compare_exactly(run_attention<family>(p, da::causal{}).out, dense.out) == "");
      CHECK(compare_exactly(run_delta<family>(p, window, {.stride = 16, .average = 3}).out,
                            delta.out) == "");
    }
  }
}

// Rows whose scores rise by much are computed twice in bfloat16, and rescaled in float16 (what they
// come to is test_dense's): of the items of a team none, some or all, its last ones among them.
TEMPLATE_LIST_TEST_CASE("launches: a batch is computed as if it were alone", "[launches]",
                        sixteen_bit_setups) {
  using family = typename TestType::family;
  for (const integer size : {64, 128}) {
    // (Hosts compute nothing twice, and take long.)
    const shape s{.batches = on_host<typename TestType::execution_space> ? 3 : 24,
                  .queries = 300,
                  .keys = 400,
                  .query_heads = 8,
                  .kv_heads = 2,
                  .size = size,
                  .value_size = size};
    problem_of<TestType> p(s);
    for (integer b = 0; b < s.batches; ++b)
      for (integer i = 0; i < s.queries; ++i)
        if (b % 3 == 1 || (b % 3 == 2 && i == 250))
          for (integer h = 0; h < s.query_heads; ++h)
            for (integer e = 0; e < size; ++e) p.q(b, i, h, e) *= 64;
    const auto all = run_attention<family>(p, da::causal{});
    buffer<typename TestType::execution_space, typename TestType::element> one(
        s.batches, s.queries, s.query_heads, size, layout::tokens_first);
    for (integer b = 0; b < s.batches; ++b) {
      const auto of_batch = [&](const auto& x) {
        return Kokkos::subview(x, std::pair(b, b + 1), Kokkos::ALL, Kokkos::ALL, Kokkos::ALL);
      };
      call_attention<family>(p.exec, of_batch(p.q_buffer.view()), of_batch(p.k_buffer.view()),
                             of_batch(p.v_buffer.view()), of_batch(one.view()), da::causal{},
                             da::options{});
    }
    p.exec.fence("test: results are ready");
    CHECK(compare_exactly(one.download(), all.out) == "");
  }
}

TEST_CASE("launches: 200 on several streams at once", "[launches]") {
  if (on_host<exec_space>) SKIP("the host has no streams");
  problem<exec_space, da::bfloat16> p(usual);
  const auto dense = run_attention<best_family>(p, da::causal{});
  const auto delta = run_delta<best_family>(p, window, {.stride = 16, .average = 3});
  const auto streams = Kokkos::Experimental::partition_space(exec_space(), 1, 1, 1, 1);
  std::vector<buffer<exec_space, da::bfloat16>> outputs;
  for (int n = 0; n < 200; ++n)
    outputs.emplace_back(usual.batches, usual.queries, usual.query_heads, usual.value_size,
                         layout::tokens_first);
  p.upload();
  for (std::size_t n = 0; n < outputs.size(); ++n) {
    const auto call = [&](auto&&... arguments) {
      if (n % 8 < 4)
        da::attention(arguments..., da::causal{});
      else
        da::delta_attention(arguments..., window, da::delta{.stride = 16, .average = 3});
    };
    call(streams[n % streams.size()], p.q_buffer.view(), p.k_buffer.view(), p.v_buffer.view(),
         outputs[n].view());
  }
  Kokkos::fence("test: results are ready");
  for (std::size_t n = 0; n < outputs.size(); ++n)
    CHECK(compare_exactly(outputs[n].download(), (n % 8 < 4 ? dense : delta).out) == "");
}

TEST_CASE("launches: tensors of more than 2^31 elements", "[launches]") {
  if (on_host<exec_space>) SKIP("takes 18 GB");
  constexpr integer tokens = 270'000, heads = 64, size = 128, last = 100;
  const auto q = random_tensor("q", tokens, heads, size),
             k = random_tensor("k", tokens, heads, size),
             v = random_tensor("v", tokens, heads, size);
  const huge_tensor out("out", 1, tokens, heads, size), expected("expected", 1, last, heads, size);
  const exec_space exec;
  const auto rows_of = [](const huge_tensor& x, integer first) {
    return Kokkos::subview(x, Kokkos::ALL, std::pair(first, first + last), Kokkos::ALL,
                           Kokkos::ALL);
  };
  // No row of these sees a key before the window: a short call has the same rows.
  const da::sink_window local{.sinks = 0, .window = last / 2};
  const auto check = [&](integer first) {
    da::attention(exec, rows_of(q, first), rows_of(k, first), rows_of(v, first), expected, local);
    exec.fence("test: results are ready");
    const auto a = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace{}, expected);
    huge_tensor copy("copy", 1, last, heads, size);
    Kokkos::deep_copy(copy, rows_of(out, first));
    const auto b = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace{}, copy);
    double worst = 0;
    for (integer i = last / 2; i < last; ++i)
      for (integer h = 0; h < heads; ++h)
        for (integer e = 0; e < size; ++e)
          worst = std::max(worst, std::fabs(element_traits<da::bfloat16>::to(a(0, i, h, e)) -
                                            element_traits<da::bfloat16>::to(b(0, i, h, e))));
    CAPTURE(first);
    CHECK(worst < 0.02);  // an ulp of outputs below 1, and of weights
  };
  da::attention(exec, q, k, v, out, local);
  for (const integer first : {integer{0}, tokens / 2, integer{262'144 - 60}, tokens - last})
    check(first);
  da::delta_attention(
      exec, q, k, v, out, local,
      da::delta{.stride = 100'000, .correction = da::correction::recompute, .tail = 0});
  for (const integer first : {integer{1000}, tokens - last}) check(first);
}

// Keys and values of more than a cache: heads then go in turn, and anchors meet the keys in parts.
TEST_CASE("launches: keys that pass the cache", "[launches]") {
  if (on_host<exec_space>) SKIP("hosts take them like any others");
  const auto relative = [](const huge_tensor& x, const huge_tensor& y) {
    double squares = 0, differences = 0;
    const da::bfloat16 *const a = x.data(), *const b = y.data();
    Kokkos::parallel_reduce(
        "test: difference",
        Kokkos::RangePolicy<exec_space, Kokkos::IndexType<integer>>(0, x.size()),
        KOKKOS_LAMBDA(integer i, double& s, double& d) {
          const double p = static_cast<float>(a[i]), q = static_cast<float>(b[i]);
          s += q * q;
          d += (p - q) * (p - q);
        },
        squares, differences);
    return std::sqrt(differences / squares);
  };
  const auto tensors = [](integer tokens, integer heads, integer kv_heads) {
    return std::array{
        random_tensor("q", tokens, heads, 128), random_tensor("k", tokens, kv_heads, 128),
        random_tensor("v", tokens, kv_heads, 128), random_tensor("a", tokens, heads, 128),
        random_tensor("b", tokens, heads, 128)};
  };
  const exec_space exec;
  {
    const auto [q, k, v, out, expected] = tensors(20000, 8, 4);  // 39 MiB
    da::attention(exec, q, k, v, out, da::causal{});
    da::kernel::attention<da::arch::scalar>(exec, q, k, v, expected, da::causal{}, da::options{});
    CHECK(relative(out, expected) < 0.01);
  }
  {
    const auto [q, k, v, out, expected] = tensors(140000, 2, 1);  // few anchors: many parts
    const da::delta method{.stride = 512, .average = 2, .tail = 64};
    da::delta_attention(exec, q, k, v, out, window, method);
    da::kernel::delta_attention<da::arch::scalar>(exec, q, k, v, expected, window, method,
                                                  da::options{});
    CHECK(relative(out, expected) < 0.01);
  }
}
