// expect: must have the same element type
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

void use(const Kokkos::View<da::bfloat16****>& q, const Kokkos::View<da::float16****>& kv,
         const Kokkos::View<da::bfloat16****>& out) {
  da::attention(Kokkos::DefaultExecutionSpace(), q, kv, kv, out, da::causal{});
}
