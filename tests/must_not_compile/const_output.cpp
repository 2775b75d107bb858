// expect: out must not be a View of const elements
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<float****>& x, const Kokkos::View<const float****>& out) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, da::causal{});
}
