// expect: out_a, out_b and out must have the same element type
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<float****>& a, const Kokkos::View<da::bfloat16****>& b,
         const Kokkos::View<float***>& lse) {
  da::merge_states(Kokkos::DefaultExecutionSpace(), a, lse, b, lse, a, lse);
}
