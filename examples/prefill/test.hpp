// The least that a test needs, so that the demo can be tested wherever it can be built.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>

namespace prefill_test {

inline int passed = 0, failed = 0;

inline void check(bool holds, std::string const& what) {
  (holds ? passed : failed)++;
  if (!holds) std::fprintf(stderr, "FAILED: %s\n", what.c_str());
}

inline void check_close(double value, double expected, double tolerance, std::string const& what) {
  check(std::abs(value - expected) <= tolerance,
        what + ": " + std::to_string(value) + " instead of " + std::to_string(expected));
}

template <class Error, class Body>
void check_throws(Body const& body, std::string const& fragment, std::string const& what) {
  try {
    body();
    check(false, what + ": nothing was thrown");
  } catch (Error const& error) {
    check(std::string(error.what()).find(fragment) != std::string::npos,
          what + ": the message was: " + error.what());
  }
}

void test_files();
void test_tokenizer();
void test_model();
void test_methods();
void test_report();

}  // namespace prefill_test
