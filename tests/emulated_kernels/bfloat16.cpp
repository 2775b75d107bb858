#include "family.hpp"

namespace sweep {

verdict run_emulated_bfloat16(drawn& x) {
  return run<emulated::setup_of<da::bfloat16, emulated::production>, window,
             lists_or_window_and_causal>(x);
}

}  // namespace sweep
