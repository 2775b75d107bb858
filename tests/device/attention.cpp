// attention: every element type, every kind of mask, every option that changes a kernel.
#include "operators.hpp"

template <class Element>
void causal(const space& exec, const tensors<Element>& t) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::causal{});
}
template void causal(const space&, const tensors<float>&);
template void causal(const space&, const tensors<double>&);
template void causal(const space&, const tensors<da::float16>&);
template void causal(const space&, const tensors<da::bfloat16>&);

void options(const space& exec, const tensors<float>& t, statistics lse, head_values logits) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::sink_window{.sinks = 64, .window = 512},
                da::options{.scale = 0.1, .softcap = 30.0, .lse = lse, .sink_logits = logits});
}

void masks(const space& exec, const tensors<da::bfloat16>& t, const block_lists& lists) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::block_sparse{lists} & da::causal{});
  da::attention(exec, t.q, t.k, t.v, t.out,
                (da::block_sparse{lists} | da::sink_window{.sinks = 64, .window = 512}) &
                    da::causal{});
  da::attention(exec, t.q, t.k, t.v, t.out, every_third{});
}
