// The two clocks of a measurement. Benchmarks here divide by CPU time, since a machine shared with
// others takes wall time away from a run, and CPU time far less.
#pragma once
#include <time.h>

#include <chrono>

namespace bench {

/// CPU seconds of the calling thread.
inline double thread_cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

inline double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace bench
