// The host's memory bandwidth by two loops over arrays far larger than its caches: a copy, whose
// bytes read and written both count, and a read.
#pragma once
#include <cstddef>
#include <memory>

#include "peak.hpp"

namespace bench {

/// Plain stores: what the hardware reads besides, to own the lines it writes, does not count.
[[gnu::noinline]] inline void copy_vectors(const wide_vector* from, wide_vector* to, long count) {
  for (long i = 0; i < count; i += 4) {
    for (long j = i; j < i + 4; ++j) to[j] = from[j];
    asm volatile("" ::: "memory");  // or it becomes memcpy, whose stores pass by the cache
  }
}

[[gnu::noinline]] inline float read_vectors(const wide_vector* from, long count) {
  wide_vector sum[4] = {};
  for (long i = 0; i < count; i += 4)
    for (long j = 0; j < 4; ++j) sum[j] += from[i + j];
  return (sum[0] + sum[1] + sum[2] + sum[3])[0];
}

[[gnu::noinline]] inline void fill_vectors(wide_vector* to, long count) {
  for (long i = 0; i < count; ++i) to[i] = wide_vector{} + 1.0F;
}

class memory_loops {
 public:
  /// `bytes`: of each of the two arrays.
  explicit memory_loops(std::size_t bytes)
      : share_(static_cast<long>(bytes / sizeof(wide_vector)) / host_threads() / 4 * 4),
        from_(new wide_vector[share_ * host_threads()]),
        to_(new wide_vector[share_ * host_threads()]) {
    sum_over_threads([this](int thread) {  // each thread touches its own share first
      fill_vectors(from_.get() + thread * share_, share_);
      fill_vectors(to_.get() + thread * share_, share_);
      return 0.0;
    });
  }

  /// Bytes read and written in a CPU second of one thread while all threads copy.
  double copy(double seconds = 0.02) const {
    return rate_per_cpu_second(seconds, [this](int thread) {
      copy_vectors(from_.get() + thread * share_, to_.get() + thread * share_, share_);
      return 2.0 * bytes_per_share();
    });
  }

  /// Bytes read, likewise.
  double read(double seconds = 0.02) const {
    return rate_per_cpu_second(seconds, [this](int thread) {
      volatile float kept = read_vectors(from_.get() + thread * share_, share_);
      (void)kept;
      return bytes_per_share();
    });
  }

 private:
  double bytes_per_share() const { return static_cast<double>(share_ * sizeof(wide_vector)); }

  long share_;  // vectors of one thread
  std::unique_ptr<wide_vector[]> from_, to_;
};

}  // namespace bench
