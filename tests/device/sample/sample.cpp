// For architectures that get the instructions of sm_80, for which every operator compiles: every
// atom and every epilogue, whose registers and spills the compiler decides anew for each.
#include "../tensors.hpp"

void causal(const space& exec, const tensors<float>& t) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::causal{});
}
void causal(const space& exec, const tensors<da::bfloat16>& t) {
  da::attention(exec, t.q, t.k, t.v, t.out, da::causal{});
}

// The corrected rows of delta_attention.
template <class Element> using corrected = da::kernel::store_corrected<Element>;
template <class Element>
void sparse(da::kernel::execution<space, true>& run, const da::kernel::problem<Element>& p,
            const da::sink_window::bound& mask, const da::kernel::row_set& rows,
            const corrected<Element>& epilogue) {
  da::kernel::tiled_pass<da::arch::preferred<space, Element>>("sparse", run, p, mask, rows,
                                                              epilogue);
}
template void sparse(da::kernel::execution<space, true>&, const da::kernel::problem<float>&,
                     const da::sink_window::bound&, const da::kernel::row_set&,
                     const corrected<float>&);
template void sparse(da::kernel::execution<space, true>&, const da::kernel::problem<da::bfloat16>&,
                     const da::sink_window::bound&, const da::kernel::row_set&,
                     const corrected<da::bfloat16>&);
