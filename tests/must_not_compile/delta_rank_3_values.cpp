// expect: must have rank 4
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<float****>& x, const Kokkos::View<float***>& v,
         const Kokkos::View<float****>& out) {
  da::delta_attention(Kokkos::DefaultExecutionSpace(), x, x, v, out, da::causal{});
}
