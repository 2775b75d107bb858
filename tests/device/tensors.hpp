// What the device compilations share: the tensors of one call, and the mask of a user.
#pragma once
#include <Kokkos_Core.hpp>
#include <cstdint>
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

using space = Kokkos::DefaultExecutionSpace;
template <class Element> using tensor = Kokkos::View<Element****, Kokkos::LayoutRight, space>;
using statistics = Kokkos::View<float***, Kokkos::LayoutRight, space>;
using double_statistics = Kokkos::View<double***, Kokkos::LayoutRight, space>;
using head_values = Kokkos::View<float*, space>;
using block_lists = decltype(da::block_lists_from_mask(
    space{}, Kokkos::View<bool****, Kokkos::LayoutRight, space>{}, 128, 64));

template <class Element> struct tensors {
  tensor<Element> q, k, v, out;
};

/// Every third key, as a user would write it.
struct every_third : da::mask_base {
  KOKKOS_FUNCTION bool allows(int, int, std::int64_t position, std::int64_t key) const {
    return key <= position && key % 3 == 0;
  }
};
