// Interleaved measurement: limit, case, limit, case, ... Clocks, neighbours and temperature change
// from second to second; a case is divided by what the machine could do just before and just after.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "clocks.hpp"
#include "host_threads.hpp"

namespace bench {

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// What the machine can do at best, and how much of it one call of the case needs.
struct limit {
  std::string name;
  std::function<double()> per_cpu_second;  // work in a CPU second of one thread, all threads busy
  double work_per_call;
};

class interleaved {
 public:
  explicit interleaved(std::vector<limit> limits) : limits_(std::move(limits)) { measure_limits(); }

  /// One sample: `calls` calls, each of which must end with a fence.
  template <class Call> void sample(int calls, const Call& call) {
    const double cpu = cpu_seconds(), wall = wall_seconds();
    for (int i = 0; i < calls; ++i) call();
    const double wall_after = wall_seconds();
    samples_.push_back({(wall_after - wall) / calls, (cpu_seconds() - cpu) / calls});
  }

  /// Once before the first sample (the constructor does) and once after each.
  void measure_limits() {
    rates_.resize(limits_.size());
    for (std::size_t i = 0; i < limits_.size(); ++i)
      rates_[i].push_back(limits_[i].per_cpu_second());
  }

  /// Medians over the samples, seconds a call: on the wall's clock, and of all threads together.
  double wall() const {
    return median_of([](const times& t, std::size_t) { return t.wall; });
  }
  double cpu() const {
    return median_of([](const times& t, std::size_t) { return t.cpu; });
  }

  const std::vector<limit>& limits() const { return limits_; }

  /// Median share of limit `which` that the case reaches in the CPU time it takes.
  double share(std::size_t which) const {
    return median_of([&](const times& t, std::size_t i) {
      return limits_[which].work_per_call / (t.cpu * rate(which, i));
    });
  }

  /// The same on the wall's clock: lower where threads wait or others use the machine.
  double wall_share(std::size_t which) const {
    return median_of([&](const times& t, std::size_t i) {
      return limits_[which].work_per_call / (t.wall * host_threads() * rate(which, i));
    });
  }

  /// Median of limit `which` itself, all threads together.
  double limit_per_second(std::size_t which) const {
    return host_threads() * median(rates_[which]);
  }

 private:
  struct times {
    double wall, cpu;
  };

  // Around sample i: rates are measured once more often than samples.
  double rate(std::size_t which, std::size_t i) const {
    return (rates_[which][i] + rates_[which][i + 1]) / 2;
  }

  template <class Function> double median_of(const Function& function) const {
    std::vector<double> values;
    for (std::size_t i = 0; i < samples_.size(); ++i) values.push_back(function(samples_[i], i));
    return median(std::move(values));
  }

  std::vector<limit> limits_;
  std::vector<std::vector<double>> rates_;
  std::vector<times> samples_;
};

}  // namespace bench
