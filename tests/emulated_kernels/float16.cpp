#include "family.hpp"

namespace sweep {

verdict run_emulated_float16(drawn& x) {
  return run<emulated::setup_of<da::float16, emulated::small>, window, user_and_causal>(x);
}

}  // namespace sweep
