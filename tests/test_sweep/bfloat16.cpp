#include "sweep.hpp"

namespace sweep {

// Together: on a GPU the best family has kernels of the second for some calls.
verdict run_bfloat16_best(drawn& x) {
  return run<setup<exec_space, da::bfloat16, best_family>, causal, window, blocks,
             lists_or_window_and_causal>(x);
}
verdict run_bfloat16_second(drawn& x) {
  using second = second_setup<exec_space, da::bfloat16>;
  if constexpr (std::is_same_v<typename second::family,
                               da::arch::preferred<exec_space, da::bfloat16>>)
    return run_bfloat16_best(x);  // there is but one
  else
    return run<second, causal, window, lists_or_window_and_causal>(x);
}

}  // namespace sweep
