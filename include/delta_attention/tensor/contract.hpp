#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace delta_attention {

/// A call broke the library's contract. Thrown before any kernel is launched and before anything is
/// written; what() has the values.
class contract_error : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// @cond internal

/// Throws contract_error with the parts written one after the other, unless `holds`.
template <class... Parts> void require(bool holds, const Parts&... parts) {
  if (holds) return;
  std::ostringstream message;
  message << "delta_attention: ";
  (message << ... << parts);
  throw contract_error(message.str());
}

/// @endcond

}  // namespace delta_attention
