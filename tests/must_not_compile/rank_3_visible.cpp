// expect: visible must be a view of rank 4
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

auto use(const Kokkos::View<bool***>& visible) {
  return da::block_lists_from_mask(Kokkos::DefaultExecutionSpace(), visible, 64, 64);
}
