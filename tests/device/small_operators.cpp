// merge_states and block_lists_from_mask: the small operators.
#include "operators.hpp"

template <class Element, class Statistics>
void merge(const space& exec, const tensor<Element>& out, const Statistics& lse) {
  da::merge_states(exec, out, lse, out, lse, out, lse);
}
template void merge(const space&, const tensor<float>&, const statistics&);
template void merge(const space&, const tensor<double>&, const double_statistics&);
template void merge(const space&, const tensor<da::float16>&, const statistics&);
template void merge(const space&, const tensor<da::bfloat16>&, const statistics&);

block_lists lists(const space& exec,
                  const Kokkos::View<bool****, Kokkos::LayoutRight, space>& visible) {
  return da::block_lists_from_mask(exec, visible, 128, 64);
}
