// Every operator: attention by the best family for 16 bits and by the scalar one, delta_attention
// (whose tail has attention's kernels, hence bfloat16 for both), merge_states for each element
// type, block_lists_from_mask.
#include "tensors.hpp"

void attend(const space& exec, const tensors<da::bfloat16>& t) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::causal{});
}
void attend(const space& exec, const tensors<float>& t, statistics lse, head_values logits) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::sink_window{.sinks = 64, .window = 512},
                da::options{.scale = 0.1, .softcap = 30.0, .lse = lse, .sink_logits = logits});
}

void delta(const space& exec, const tensors<da::bfloat16>& t) {
  da::delta_attention(exec, t.q, t.k, t.v, t.out, da::sink_window{.sinks = 64, .window = 512},
                      da::delta{.stride = 64, .average = 16});
}

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
