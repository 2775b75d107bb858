#include "sweep.hpp"

namespace sweep {

// Together: on a GPU the best family has kernels of the second for some calls.
verdict run_bfloat16_best(drawn& x) {
  return run<setup<exec_space, da::bfloat16, best_family>, causal, window, blocks,
             lists_or_window_and_causal>(x);
}
verdict run_bfloat16_second(drawn& x) {
  return run<second_setup<exec_space, da::bfloat16>, causal, window, lists_or_window_and_causal>(x);
}

}  // namespace sweep
