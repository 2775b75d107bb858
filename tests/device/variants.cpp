// Kernels that operators.cpp leaves out: those of doubles, delta_attention by the scalar family, and
// under the other kinds of mask the tiles of many rows (float16 under the user's), with the epilogue
// of outputs and, where the loop is longest, that of states.
#include "tensors.hpp"

void doubles(const space& exec, const tensors<double>& t) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::causal{});
}

void delta(const space& exec, const tensors<float>& t, statistics lse) {
  da::delta_attention(exec, t.q, t.k, t.v, t.out, every_third{}, da::delta{},
                      da::options{.lse = lse});
}

using execution = da::kernel::execution<space, true>;

template <class Element, class Mask, class Epilogue>
void tiles(execution& run, const da::kernel::problem<Element>& p, const da::kernel::row_set& rows,
           const Mask& mask, const Epilogue& epilogue) {
  da::kernel::tiled_pass<da::arch::preferred<space, Element>>(
      "tiles", run, p, da::mask::bind(mask, p.geometry()), rows, epilogue);
}

void user_mask(execution& run, const da::kernel::problem<da::float16>& p,
               const da::kernel::row_set& rows,
               const da::kernel::store_output<da::float16>& outputs) {
  tiles(run, p, rows, every_third{}, outputs);
}

void lists(execution& run, const da::kernel::problem<da::bfloat16>& p,
           const da::kernel::row_set& rows, const block_lists& lists,
           const da::kernel::store_output<da::bfloat16>& outputs,
           const da::kernel::store_state<float>& states) {
  const auto longest =
      (da::block_sparse{lists} | da::sink_window{.sinks = 64, .window = 512}) & da::causal{};
  tiles(run, p, rows, da::block_sparse{lists} & da::causal{}, outputs);
  tiles(run, p, rows, longest, outputs);
  tiles(run, p, rows, longest, states);
}
