// expect: must be Kokkos Views
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const float* x, float* out) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, da::causal{});
}
