// One function on every thread of the host execution space, all at the same time.
#pragma once
#include <Kokkos_Core.hpp>
#include <functional>

#include "clocks.hpp"

namespace bench {

inline int host_threads() {
  return Kokkos::DefaultHostExecutionSpace().concurrency();
}

/// Sum over the threads of what `function(thread)` returns.
inline double sum_over_threads(const std::function<double(int)>& function) {
  using host = Kokkos::DefaultHostExecutionSpace;
  using policy = Kokkos::RangePolicy<host, Kokkos::Schedule<Kokkos::Static>>;
  double sum = 0;
  Kokkos::parallel_reduce(
      "bench::every_thread", policy(host(), 0, host_threads(), Kokkos::ChunkSize(1)),
      [&](int thread, double& partial) { partial += function(thread); }, sum);
  return sum;
}

/// CPU seconds of all threads. Their own clocks are read, one by one: the clock of the whole
/// process counts the other threads only at the scheduler's ticks, some milliseconds apart.
inline double cpu_seconds() {
  return sum_over_threads([](int) { return thread_cpu_seconds(); });
}

/// Calls `work(thread)`, which returns how much it did, on all threads until each has spent
/// `seconds` of CPU time; returns the work done in a CPU second of one thread.
inline double rate_per_cpu_second(double seconds, const std::function<double(int)>& work) {
  const double rates = sum_over_threads([&](int thread) {
    double done = 0, spent = 0;
    const double start = thread_cpu_seconds();
    while (spent < seconds) {
      done += work(thread);
      spent = thread_cpu_seconds() - start;
    }
    return done / spent;
  });
  return rates / host_threads();
}

}  // namespace bench
