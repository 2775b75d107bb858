// delta_attention_bench [Google Benchmark's flags]; delta_attention_bench serve
#include <benchmark/benchmark.h>

#include <Kokkos_Core.hpp>
#include <exception>
#include <iostream>
#include <string_view>

#include "bench_attention.hpp"
#include "context.hpp"
#include "limits.hpp"
#include "serve.hpp"

int main(int argc, char** argv) try {
  const Kokkos::ScopeGuard kokkos(argc, argv);
  if (argc == 2 && std::string_view(argv[1]) == "serve") {
    bench::serve();
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  bench::add_context();
  bench::register_machine();
  bench::register_attention();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
} catch (const std::exception& failure) {  // no GPU, say
  std::cerr << failure.what() << '\n';
  return 1;
}
