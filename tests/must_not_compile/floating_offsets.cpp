// expect: offsets and indices must have an integral type
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

auto use(const Kokkos::View<float*>& offsets, const Kokkos::View<int*>& indices) {
  return da::block_lists_from_csr(Kokkos::DefaultExecutionSpace(), offsets, indices, 1, 1, 64, 64);
}
