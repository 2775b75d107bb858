// The kernels of a GPU's family, executed lane by lane (tests/emulation): the small ones of the
// sweep's random problems. DELTA_ATTENTION_SWEEP sets how many (300), DELTA_ATTENTION_SEED the
// seed to begin with (random, printed).
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdlib>
#include <iostream>

#include "family.hpp"

namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

/// Is there a kernel for it, and is it done within milliseconds?
bool fits(const sweep::drawn& x) {
  const bool compiled = x.setup == sweep::float16_best ||
                        (x.setup == sweep::bfloat16_best &&
                         (x.mask == sweep::window || x.mask == sweep::lists_or_window_and_causal));
  const shape& s = x.sizes;
  const integer heads = s.batches * s.query_heads;
  return compiled && heads * s.queries * s.keys * (s.size + s.value_size) <= 4'000'000;
}

std::string error_of(sweep::drawn& x) {
  emulation::gpu& gpu = emulation::the_gpu();
  gpu.start(x.seed);
  try {
    const verdict compare = x.setup == sweep::bfloat16_best ? sweep::run_emulated_bfloat16(x)
                                                            : sweep::run_emulated_float16(x);
    return gpu.failure.empty() ? compare() : gpu.failure;
  } catch (const std::exception& error) {
    return std::string("throws ") + error.what();
  }
}

}  // namespace

TEST_CASE("emulated: random problems agree with the oracle", "[emulation][sweep]") {
  const std::uint64_t count = from_environment("DELTA_ATTENTION_SWEEP", 300);
  const std::uint64_t first = from_environment("DELTA_ATTENTION_SEED", std::random_device{}());
  std::cout << "emulation: " << count << " problems, DELTA_ATTENTION_SEED=" << first << std::endl;
  const auto begin = std::chrono::steady_clock::now();
  std::uint64_t done = 0, failures = 0;
  for (std::uint64_t seed = first; done < count; ++seed) {
    sweep::drawn x = sweep::draw(seed);
    if (!fits(x)) continue;
    ++done;
    const std::string error = error_of(x);
    if (error.empty()) continue;
    ++failures;
    std::cout << "emulation: DELTA_ATTENTION_SEED=" << seed
              << " DELTA_ATTENTION_SWEEP=1: " << describe(x) << ": " << error << std::endl;
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  std::cout << "emulation: " << failures << " of " << count << " failed, " << seconds.count()
            << " s" << std::endl;
  CHECK(failures == 0);
}
