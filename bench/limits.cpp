#include "limits.hpp"

#include <benchmark/benchmark.h>

#include "bandwidth.hpp"
#include "peak.hpp"

namespace bench {

namespace {

// Four times all last-level caches: what a loop finds there is gone before it comes round again.
std::size_t array_bytes() {
  const auto& cpu = benchmark::CPUInfo::Get();
  std::size_t bytes = 0;
  for (const auto& cache : cpu.caches)
    if (cache.level == 3)
      bytes = 4 * static_cast<std::size_t>(cache.size) *
              std::max(1, cpu.num_cpus / std::max(1, cache.num_sharing));
  return std::max(bytes, std::size_t{128} << 20);
}

const memory_loops& loops() {
  static const memory_loops arrays(array_bytes());
  return arrays;
}

constexpr int samples = 9;

// Reports the median of `rate`, of all threads together, as the counter `name`.
template <class Rate> double report(benchmark::State& state, const char* name, const Rate& rate) {
  std::vector<double> rates;
  for (auto _ : state) rates.push_back(rate());
  const double all = host_threads() * median(std::move(rates));
  state.counters[name] = all;
  return all;
}

void fma_peak_alone(benchmark::State& state) {
  const double flops = report(state, "flop/s", [] { return fma_peak(); });
  std::vector<double> cycles;
  for (int i = 0; i < samples; ++i) cycles.push_back(core_clock());
  const double clock = median(std::move(cycles));
  state.counters["clock_hz"] = clock;
  state.counters["flop/cycle"] = flops / host_threads() / clock;
}

void copy_alone(benchmark::State& state) {
  loops();
  report(state, "bytes/s", [] { return loops().copy(); });
}

void read_alone(benchmark::State& state) {
  loops();
  report(state, "bytes/s", [] { return loops().read(); });
}

}  // namespace

std::vector<limit> arithmetic_limits(double flops) {
  return {{"peak", [] { return fma_peak(); }, flops}};
}

std::vector<limit> memory_limits(double bytes) {
  loops();
  return {{"copy", [] { return loops().copy(); }, bytes},
          {"read", [] { return loops().read(); }, bytes}};
}

void register_machine() {
  const auto add = [](const char* name, void (*function)(benchmark::State&)) {
    benchmark::RegisterBenchmark(name, function)
        ->Iterations(samples)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  };
  add("machine/fma_peak", fma_peak_alone);
  add("machine/copy", copy_alone);
  add("machine/read", read_alone);
}

}  // namespace bench
