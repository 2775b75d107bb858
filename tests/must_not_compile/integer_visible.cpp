// expect: visible must be a view of bool
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

auto use(const Kokkos::View<int****>& visible) {
  return da::block_lists_from_mask(Kokkos::DefaultExecutionSpace(), visible, 64, 64);
}
