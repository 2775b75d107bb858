// Kernels that operators.cpp leaves out: those of the other element types, and the tiles of many
// rows under the other kinds of mask. (What else there is under a mask takes it as a tile does.)
#include "tensors.hpp"

void doubles(const space& exec, const tensors<double>& t) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::causal{});
}

using execution = da::kernel::execution<space, true>;

template <class Element, class Mask>
void tiles(execution& run, const da::kernel::problem<Element>& p, const da::kernel::row_set& rows,
           const da::kernel::output<Element>& to, const Mask& mask) {
  da::kernel::tiled_pass<da::arch::preferred<space, Element>>(
      "tiles", run, p, da::mask::bind(mask, p.geometry()), rows,
      da::kernel::store_output<Element>{to});
}

void user_mask(execution& run, const da::kernel::problem<da::float16>& p,
               const da::kernel::row_set& rows, const da::kernel::output<da::float16>& to) {
  tiles(run, p, rows, to, every_third{});
}

void lists(execution& run, const da::kernel::problem<da::bfloat16>& p,
           const da::kernel::row_set& rows, const da::kernel::output<da::bfloat16>& to,
           const block_lists& lists) {
  tiles(run, p, rows, to, da::block_sparse{lists} & da::causal{});
  tiles(run, p, rows, to,
        (da::block_sparse{lists} | da::sink_window{.sinks = 64, .window = 512}) & da::causal{});
}
