// The ways to attend that are compared, and what each costs: exactly counted (query, key) pairs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace prefill {

enum class rule { dense, sink_window, recompute, delta };

struct method {
  std::string name;
  rule how = rule::dense;
  std::int64_t sinks = 0;
  std::int64_t window = 0;
  std::int64_t stride = 1;
  std::int64_t average = 1;

  bool corrected() const { return how == rule::recompute || how == rule::delta; }

  /// Rows at the prompt's end that a corrected method computes densely (the library's default).
  std::int64_t tail(std::int64_t tokens) const {
    return corrected() ? tokens % stride + std::max<std::int64_t>(128, stride) : 0;
  }

  /// The keys that row `row` of `tokens` reads, sinks and window counted once.
  std::int64_t visible(std::int64_t row, std::int64_t tokens) const {
    bool const anchor = corrected() && (row % stride == 0 || row >= tokens - tail(tokens));
    if (how == rule::dense || anchor) return row + 1;
    return std::min(row + 1, window) + std::min(sinks, std::max<std::int64_t>(0, row + 1 - window));
  }
};

/// The pairs of one head in a prefill of `tokens`. An anchor's sparse row is a part of its dense
/// one and costs nothing more.
inline std::int64_t pairs(method const& m, std::int64_t tokens) {
  std::int64_t sum = 0;
  for (std::int64_t row = 0; row < tokens; ++row) sum += m.visible(row, tokens);
  return sum;
}

/// The smallest window with which sink_window costs at least as many pairs as `costly` does.
inline std::int64_t window_as_costly_as(method const& costly, std::int64_t tokens) {
  auto const budget = pairs(costly, tokens);
  std::int64_t low = 1, high = tokens;
  while (low < high) {
    auto const middle = (low + high) / 2;
    method const candidate{"", rule::sink_window, costly.sinks, middle};
    if (pairs(candidate, tokens) < budget) low = middle + 1;
    else high = middle;
  }
  return low;
}

struct settings {
  std::int64_t sinks, window, stride, average;
};

/// The table's rows, dense first and then in the order in which they are explained.
inline std::vector<method> table_methods(settings const& s, std::int64_t tokens) {
  method const delta{"delta", rule::delta, s.sinks, s.window, s.stride, 1};
  auto const wider = window_as_costly_as(delta, tokens);
  std::vector<method> all = {
      {"dense"},
      {"sink_window", rule::sink_window, s.sinks, s.window},
      {"sink_window, widened", rule::sink_window, s.sinks, wider},
      {"recompute", rule::recompute, s.sinks, s.window, s.stride, 1},
      delta,
  };
  if (s.average > 1)
    all.push_back({"delta, average " + std::to_string(s.average), rule::delta, s.sinks, s.window,
                   s.stride, s.average});
  return all;
}

/// `count` windows from the given one (left out: the table has it) to 16 times it, evenly spaced
/// on the plot's log axis. The far end comes first, and each next one halves a gap, so that those
/// which there is time for are spread well.
inline std::vector<std::int64_t> sweep_windows(std::int64_t window, int count,
                                               std::int64_t tokens) {
  std::vector<std::int64_t> result;
  auto const add = [&](int i) {
    auto const next = std::llround(double(window) * std::pow(16.0, double(i) / (count - 1)));
    if (next > window && next < tokens && std::ranges::find(result, next) == result.end())
      result.push_back(next);
  };
  if (count > 1) add(count - 1);
  for (int gap = count - 1; gap > 1; gap = (gap + 1) / 2)
    for (int i = gap / 2; i < count - 1; i += std::max(1, gap / 2)) add(i);
  for (int i = 1; i < count - 1; ++i) add(i);
  return result;
}

}  // namespace prefill
