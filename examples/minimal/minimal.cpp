// The smallest use of the library: sparse attention with and without its correction, and dense.
#include <Kokkos_Core.hpp>
#include <Kokkos_Random.hpp>
#include <cmath>
#include <cstdio>

#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;
using tensor = Kokkos::View<float****, Kokkos::LayoutRight>;  // (batch, token, head, d)

// (A function of its own: nvcc takes no device lambda inside a generic one.)
double relative_error(Kokkos::DefaultExecutionSpace const& exec, tensor const& dense,
                      tensor const& result) {
  double difference = 0, norm = 0;  // of all elements
  Kokkos::parallel_reduce(
      "error", Kokkos::RangePolicy<>(exec, 0, result.size()),
      KOKKOS_LAMBDA(std::size_t i, double& sum, double& squares) {
        double const x = dense.data()[i], y = result.data()[i] - x;
        sum += y * y, squares += x * x;
      }, difference, norm);
  return std::sqrt(difference / norm);
}

int main() {
  Kokkos::ScopeGuard const kokkos;
  Kokkos::DefaultExecutionSpace const exec;
  int const tokens = 4096, heads = 8, kv_heads = 2, d = 64;
  tensor const q("q", 1, tokens, heads, d), k("k", 1, tokens, kv_heads, d),
      v("v", 1, tokens, kv_heads, d), dense("dense", 1, tokens, heads, d),
      out("out", 1, tokens, heads, d);
  Kokkos::Random_XorShift64_Pool<> random(1);
  for (auto const& x : {q, k, v}) Kokkos::fill_random(exec, x, random, -1.0F, 2.0F);

  auto const run = [&](char const* name, tensor const& result, auto const& attend) {
    exec.fence();
    Kokkos::Timer clock;
    attend();
    exec.fence();
    double const seconds = clock.seconds();
    std::printf("%-16s %8.2f ms   error %.4f\n", name, 1e3 * seconds,
                relative_error(exec, dense, result));
  };

  da::sink_window const mask{.sinks = 16, .window = 256};
  run("dense", dense, [&] { da::attention(exec, q, k, v, dense, da::causal{}); });
  run("sink_window", out, [&] { da::attention(exec, q, k, v, out, mask); });
  run("delta_attention", out, [&] {
    da::delta_attention(exec, q, k, v, out, mask, da::delta{.stride = 64, .average = 4});
  });
}
