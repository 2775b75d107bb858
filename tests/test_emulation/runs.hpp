// Kernels of the emulator's own tests, run on two waves in several orders of lanes: no check may
// hang on luck.
#pragma once

#include <string>

#include "../emulation/team.hpp"

namespace emulation_test {

/// Calls attempt(block) with blocks for lanes of type Lane.
template <class Lane, class Attempt> void with_blocks(int shared_bytes, const Attempt& attempt) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    emulation::block where(2, Lane::lanes, static_cast<std::size_t>(shared_bytes), seed);
    attempt(where);
  }
}
template <class Lane, class Kernel>
void run_on(const Kernel& kernel, emulation::block& where, int shared_bytes) {
  emulation::run(where, 1, [&](const emulation::team& t) {
    kernel(Lane(t, static_cast<std::size_t>(shared_bytes)));
  });
}

/// Runs kernel(lane).
template <class Lane, class Kernel> void run_on(const Kernel& kernel, int shared_bytes) {
  with_blocks<Lane>(shared_bytes,
                    [&](emulation::block& where) { run_on<Lane>(kernel, where, shared_bytes); });
}
/// What the emulator says of a kernel with an error, or that some order of lanes shows none.
template <class Lane, class Kernel> std::string error_on(const Kernel& kernel, int shared_bytes) {
  std::string said;
  bool always = true;
  with_blocks<Lane>(shared_bytes, [&](emulation::block& where) {
    try {
      run_on<Lane>(kernel, where, shared_bytes);
      always = false;
    } catch (const emulation::failure& f) {
      said = f.what();
    }
  });
  return always ? said : "no error in some order";
}

}  // namespace emulation_test
