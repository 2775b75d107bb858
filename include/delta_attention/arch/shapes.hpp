#pragma once

#include <delta_attention/kernel/problem.hpp>

#include <algorithm>

namespace delta_attention::arch {

/// Calls f.operator()<S>() with the first shape S that d and dv fit into.
template <auto Shape, auto... Larger, class Element, class F>
void with_first_that_fits(const kernel::problem<Element>& p, const F& f) {
  if constexpr (sizeof...(Larger) > 0)
    if (std::max(p.head_size(), p.value_size()) > Shape.channels)
      return with_first_that_fits<Larger...>(p, f);
  f.template operator()<Shape>();
}

}  // namespace delta_attention::arch
