#include <delta_attention/attention.hpp>

#include "methods.hpp"

namespace bench {

#if defined(KOKKOS_ENABLE_CUDA)
prepared dense_mma_sync(const tensors& t) {
  return to_output(t, [t] {
    da::kernel::attention<da::arch::mma_sync>(t.exec, t.q, t.k, t.v, t.out, da::causal{});
  });
}
#endif

}  // namespace bench
