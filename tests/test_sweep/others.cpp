#include "sweep.hpp"

namespace sweep {

std::string run_float_scalar(drawn& x) {
  return run<setup<exec_space, float, da::arch::scalar>, causal, window,
             lists_or_window_and_causal>(x);
}
std::string run_bfloat16_best(drawn& x) {
  return run<setup<exec_space, da::bfloat16, best_family>, causal, window, blocks,
             lists_or_window_and_causal>(x);
}
std::string run_float16_best(drawn& x) {
  return run<setup<exec_space, da::float16, best_family>, window, user_and_causal>(x);
}
std::string run_double_best(drawn& x) {
  return run<setup<exec_space, double, best_family>, window, blocks>(x);
}

}  // namespace sweep
