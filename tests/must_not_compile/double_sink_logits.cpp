// expect: options.sink_logits must be a View of float
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<float****>& x, const Kokkos::View<float****>& out,
         const Kokkos::View<double*>& logits) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, da::causal{},
                da::options{.sink_logits = logits});
}
