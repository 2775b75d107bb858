#include "sweep.hpp"

namespace sweep {

verdict run_float16_best(drawn& x) {
  using best = setup<exec_space, da::float16, best_family>;
  if constexpr (on_host<exec_space>)
    return run<best, window, user_and_causal>(x);
  else
    return run<best, window>(x);
}

}  // namespace sweep
