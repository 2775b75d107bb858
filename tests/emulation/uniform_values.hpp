// Values that all lanes of a wave must have alike, since a scalar register carries them, though the
// lanes need not come together for it: some may be masked off.
#pragma once

#include <utility>
#include <vector>

#include "failure.hpp"

namespace emulation {

/// The n-th time since the lanes were last together that a line asks is taken for one instruction.
class uniform_values {
 public:
  explicit uniform_values(int lanes) : lanes_(static_cast<std::size_t>(lanes)) {}

  void note(int lane, const site& where, const void* value) {
    line& l = of(where);
    const std::size_t n = l.asked[static_cast<std::size_t>(lane)]++;
    if (n == l.values.size())
      l.values.push_back(value);
    else if (l.values[n] != value)
      fail("not uniform: a lane has ", value, ", and another had ", l.values[n]);
  }
  /// The lanes are together again.
  void clear() { lines_.clear(); }

 private:
  struct line {
    site where;
    std::vector<std::size_t> asked;  // how often, by lane
    std::vector<const void*> values;
  };
  line& of(const site& where) {
    for (line& l : lines_)
      if (l.where == where) return l;
    lines_.push_back({where, std::vector<std::size_t>(lanes_), {}});
    return lines_.back();
  }

  std::size_t lanes_;
  std::vector<line> lines_;
};

}  // namespace emulation
