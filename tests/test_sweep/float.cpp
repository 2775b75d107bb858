#include "sweep.hpp"

namespace sweep {

std::string run_float_best(drawn& x) {
  return run<setup<exec_space, float, best_family>, full, causal, window, blocks, user, two_windows,
             user_and_causal, lists_or_window_and_causal, full_and_partial_blocks, nested>(x);
}

}  // namespace sweep
