#include "sweep.hpp"

namespace sweep {

verdict run_double_best(drawn& x) {
  using best = setup<exec_space, double, best_family>;
  if constexpr (on_host<exec_space>)
    return run<best, window, blocks>(x);
  else
    return run<best, window>(x);
}

}  // namespace sweep
