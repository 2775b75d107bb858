// What a run tells.
#pragma once

#include <optional>

#include "methods.hpp"

namespace prefill {

struct result {
  method how;
  bool in_table = true;
  double percent = 0;                // visible pairs of dense attention's
  double seconds = 0;                // attention of all layers
  double speed_up = 0;               // dense attention's seconds by these
  std::optional<double> error{};     // the median row's relative error
  std::optional<double> perplexity{}, divergence{};
};

}  // namespace prefill
