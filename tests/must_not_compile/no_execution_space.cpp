// expect: the first argument must be a Kokkos execution space instance
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<float****>& x, const Kokkos::View<float****>& out) {
  da::attention(Kokkos::DefaultExecutionSpace::memory_space(), x, x, x, out, da::causal{});
}
