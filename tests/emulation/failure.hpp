// How the emulator reports: an exception that says what went wrong, who did it and on which line.
#pragma once

#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>

namespace emulation {

/// A kernel did what hardware forbids or leaves undefined.
struct failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Parts> std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}
template <class... Parts> [[noreturn]] void fail(const Parts&... parts) {
  throw failure(text(parts...));
}

/// The line of the kernel that asks for something. Every operation of a lane takes its caller's.
using site = std::source_location;

inline std::string describe(const site& s) {
  const std::string path = s.file_name();
  return text(path.substr(path.rfind('/') + 1), ':', s.line());
}
inline bool operator==(const site& a, const site& b) {
  return a.line() == b.line() && a.column() == b.column() &&
         std::string_view(a.file_name()) == b.file_name();
}

}  // namespace emulation
