#include "sweep.hpp"

namespace sweep {

verdict run_float_scalar(drawn& x) {
  if constexpr (on_host<exec_space>)
    return run<setup<exec_space, float, da::arch::scalar>, causal, window,
               lists_or_window_and_causal>(x);
  else
    return run_float_best(x);
}

}  // namespace sweep
