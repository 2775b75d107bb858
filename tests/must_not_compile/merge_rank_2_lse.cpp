// expect: must have rank 3
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<float****>& x, const Kokkos::View<float**>& lse) {
  da::merge_states(Kokkos::DefaultExecutionSpace(), x, lse, x, lse, x, lse);
}
