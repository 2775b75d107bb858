#include "sweep.hpp"

namespace sweep {

verdict run_float_best(drawn& x) {
  using best = setup<exec_space, float, best_family>;
  if constexpr (on_host<exec_space>)
    return run<best>(x, float_masks{});
  else
    return run<best, full, user, nested>(x);
}

}  // namespace sweep
