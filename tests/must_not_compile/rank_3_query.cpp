// expect: must have rank 4
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<float***>& q, const Kokkos::View<float****>& kv,
         const Kokkos::View<float****>& out) {
  da::attention(Kokkos::DefaultExecutionSpace(), q, kv, kv, out, da::causal{});
}
