// expect: options.lse must be a View of float
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<da::bfloat16****>& x, const Kokkos::View<da::bfloat16****>& out,
         const Kokkos::View<da::bfloat16***>& lse) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, da::causal{},
                da::options{.lse = lse});
}
