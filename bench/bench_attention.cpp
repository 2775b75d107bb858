#include "bench_attention.hpp"

#include <benchmark/benchmark.h>

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "limits.hpp"
#include "peak.hpp"
#include "workload.hpp"

namespace bench {

namespace {

constexpr int samples = 9;
constexpr double sample_seconds = 0.04;  // at least, so that clocks and wake-ups do not matter

// Peaks are the host's: a case on another device has times and rates, no shares.
constexpr bool on_host =
    Kokkos::SpaceAccessibility<Kokkos::DefaultHostExecutionSpace,
                               Kokkos::DefaultExecutionSpace::memory_space>::accessible;

// By a guess of what a call takes: 70 % of the peak and 40 GB/s, or a GPU's rates.
int calls_in_sample(const case_spec& c) {
  static const double host_rate = 0.7 * host_threads() * fma_peak();
  const double guess =
      std::max(flops_of(c) / (on_host ? host_rate : 1e13), bytes_of(c) / (on_host ? 4e10 : 1e12));
  return static_cast<int>(std::clamp(std::ceil(sample_seconds / guess), 1.0, 1000.0));
}

std::vector<limit> limits_of(const case_spec& c) {
  if (!on_host) return {};
  return c.what == method::decode ? memory_limits(bytes_of(c)) : arithmetic_limits(flops_of(c));
}

double seconds_of(const interleaved& measured) {
  return on_host ? measured.cpu() / host_threads() : measured.wall();
}

// The dense call on the same tensors, once for all methods: the FLOP that the machine could have
// done meanwhile, so that it compares with what runs later.
double dense_cost(const case_spec& c, const workload& work) {
  static std::map<std::string, double> known;
  const case_spec dense = dense_of(c);
  const auto found = known.find(dense.name());
  if (found != known.end()) return found->second;
  interleaved measured(limits_of(dense));
  for (int i = 0; i < 3; ++i) {
    measured.sample(calls_in_sample(dense), [&] { work.run_dense(); });
    measured.measure_limits();
  }
  return known[dense.name()] = on_host ? flops_of(dense) / measured.share(0) : measured.wall();
}

constexpr double dense_at_most = 4e12;  // FLOP of a dense call that is worth its time here

void compare_with_dense(benchmark::State& state, const case_spec& c, const workload& work,
                        const interleaved& measured) {
  const double mine = on_host ? flops_of(c) / measured.share(0) : measured.wall();
  state.counters["speedup"] = dense_cost(c, work) / mine;
  state.counters["error"] = work.error();
}

void run_case(benchmark::State& state, const case_spec& c, int calls) {
  const auto kept = make_workload(c);
  const workload& work = *kept;
  work.run();  // first touch, first launch
  interleaved measured(limits_of(c));
  while (state.KeepRunningBatch(calls)) {
    measured.sample(calls, [&] { work.run(); });
    state.PauseTiming();
    measured.measure_limits();
    state.ResumeTiming();
  }
  const double seconds = seconds_of(measured);
  state.counters["wall_s"] = measured.wall();
  if (on_host) state.counters["cpu_s"] = measured.cpu();
  state.counters["flop/s"] = flops_of(c) / seconds;
  state.counters["bytes/s"] = bytes_of(c) / seconds;
  for (std::size_t i = 0; i < measured.limits().size(); ++i) {
    const std::string& name = measured.limits()[i].name;
    state.counters[name] = measured.share(i);
    state.counters[name + "_wall"] = measured.wall_share(i);
    state.counters[name + "/s"] = measured.limit_per_second(i);
  }
  if (c.what == method::dense || c.what == method::decode) return;
  state.counters["visible"] = pairs_of(c) / pairs_of(dense_of(c));
  if (flops_of(dense_of(c)) <= dense_at_most) compare_with_dense(state, c, work, measured);
}

}  // namespace

void register_attention() {
  for (const case_spec& c : all_cases()) {
    const int calls = calls_in_sample(c);
    benchmark::RegisterBenchmark(c.name().c_str(),
                                 [c, calls](benchmark::State& state) { run_case(state, c, calls); })
        ->Iterations(samples * calls)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace bench
