#include "sweep.hpp"

namespace sweep {

verdict run_float_best(drawn& x) {
  using best = setup<exec_space, float, best_family>;
  if constexpr (on_host<exec_space>)
    return run<best, full, causal, window, blocks, user, two_windows, user_and_causal,
               lists_or_window_and_causal, full_and_partial_blocks, nested>(x);
  else
    return run<best, full, user, nested>(x);
}

}  // namespace sweep
