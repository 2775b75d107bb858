// What the user sees on stderr while waiting.
#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <string>

namespace prefill {

class progress {
 public:
  void plan(int runs) { runs_ = runs; }

  /// `part` of `parts` of the current run is done.
  void step(std::string const& label, std::int64_t part, std::int64_t parts) {
    if (!terminal_) return;
    constexpr int width = 30;
    double const done = double(part) / double(parts);
    int const filled = int(done * width);
    std::string bar(std::size_t(filled), '#');
    bar.resize(width, '.');
    std::fprintf(stderr, "\r[%s] run %d of %d: %s\033[K", bar.c_str(), run_, runs_, label.c_str());
    std::fflush(stderr);
  }

  void run_done(std::string const& label, double seconds) {
    clear();
    if (!terminal_ && seconds > 0.5)
      std::fprintf(stderr, "run %d of %d: %s (%.1f s)\n", run_, runs_, label.c_str(), seconds);
    ++run_;
  }

  void say(std::string const& line) {
    clear();
    std::fprintf(stderr, "%s\n", line.c_str());
  }

  double elapsed() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  void clear() {
    if (terminal_) std::fputs("\r\033[K", stderr);
  }
  bool const terminal_ = ::isatty(2) != 0;
  int run_ = 1, runs_ = 1;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace prefill
