// expect: a mask of your own needs KOKKOS_FUNCTION bool allows
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

struct diagonal : da::mask_base {
  KOKKOS_FUNCTION bool visible(std::int64_t position, std::int64_t key) const {
    return position == key;
  }
};

void use(const Kokkos::View<float****>& x, const Kokkos::View<float****>& out) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, diagonal{});
}
