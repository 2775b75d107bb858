// expect: a mask must be derived from delta_attention::mask_base
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

struct diagonal {
  KOKKOS_FUNCTION bool allows(int, int, std::int64_t position, std::int64_t key) const {
    return position == key;
  }
};

void use(const Kokkos::View<float****>& x, const Kokkos::View<float****>& out) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, diagonal{});
}
