// expect: bhnd takes a view of rank 4
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

auto use(const Kokkos::View<float***>& view) { return da::bhnd(view); }
