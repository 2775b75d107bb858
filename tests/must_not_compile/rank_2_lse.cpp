// expect: options.lse must have rank 3
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<float****>& x, const Kokkos::View<float****>& out,
         const Kokkos::View<float**>& lse) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, da::causal{},
                da::options{.lse = lse});
}
