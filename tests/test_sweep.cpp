// A sweep of random problems against the oracle. DELTA_ATTENTION_SWEEP sets how many (2000), and
// DELTA_ATTENTION_SEED the first one's seed (random, printed); the next have the seeds that follow.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <random>
#include <vector>

#include "sweep.hpp"

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

verdict run(sweep::drawn& x) {
  try {
    switch (x.setup) {
      case sweep::float_best:
        return sweep::run_float_best(x);
      case sweep::float_scalar:
        return sweep::run_float_scalar(x);
      case sweep::bfloat16_best:
        return sweep::run_bfloat16_best(x);
      case sweep::bfloat16_second:
        return sweep::run_bfloat16_second(x);
      case sweep::float16_best:
        return sweep::run_float16_best(x);
      default:
        return sweep::run_double_best(x);
    }
  } catch (const std::exception& error) {
    return [what = std::string("throws ") + error.what()] { return what; };
  }
}

struct problem_in_flight {
  sweep::drawn drawn;
  verdict compare;
  std::string error;
};
constexpr std::uint64_t batch = 128;

}  // namespace

TEST_CASE("sweep: random problems agree with the oracle", "[sweep]") {
  const std::uint64_t count = from_environment("DELTA_ATTENTION_SWEEP", 2000);
  const std::uint64_t first = from_environment("DELTA_ATTENTION_SEED", std::random_device{}());
  std::cout << "sweep: " << count << " problems, DELTA_ATTENTION_SEED=" << first << std::endl;
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t failures = 0;
  for (std::uint64_t done = 0; done < count; done += batch) {
    // The library one call after the other, then the oracle on every thread.
    std::vector<problem_in_flight> problems(std::min(batch, count - done));
    for (std::size_t i = 0; i < problems.size(); ++i) {
      problems[i].drawn = sweep::draw(first + done + i);
      problems[i].compare = run(problems[i].drawn);
    }
#pragma omp parallel for schedule(dynamic)
    for (std::size_t i = 0; i < problems.size(); ++i) problems[i].error = problems[i].compare();
    for (const auto& [x, compare, error] : problems) {
      if (error.empty()) continue;
      ++failures;
      std::cout << "sweep: DELTA_ATTENTION_SEED=" << x.seed
                << " DELTA_ATTENTION_SWEEP=1: " << describe(x) << ": " << error << std::endl;
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::cout << "sweep: " << failures << " of " << count << " failed, " << seconds.count() << " s"
            << std::endl;
  CHECK(failures == 0);
}
