// expect: elements must be float, double, delta_attention::float16 or delta_attention::bfloat16
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<int****>& x, const Kokkos::View<int****>& out) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, da::causal{});
}
