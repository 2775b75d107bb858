#include <delta_attention/delta.hpp>

#include "methods.hpp"

namespace bench {

// The dense rows of delta alone: their states, the keys split as in the call.
prepared anchors(const tensors& t) {
  using family = da::arch::preferred<execution_space, da::bfloat16>;
  const auto p = da::kernel::checked(t.exec, t.q, t.k, t.v, t.out, da::options<>{}).in;
  const da::kernel::row_set rows{0, stride, (p.queries() + stride - 1) / stride};
  const auto pass = [p, rows](auto& run) {
    return da::kernel::states_pass<family>("bench::anchors", run, p,
                                           da::mask::bind(da::causal{}, p.geometry()), rows, true);
  };
  const memory states("bench::states", da::kernel::bytes_of(t.exec, pass));
  const auto go = [t, pass, states] {
    da::kernel::execution<execution_space, true> run(t.exec, states.data());
    return pass(run).out;
  };
  return {[go] { go(); },
          [t, go] {
            const auto out = go();
            return rms_of(t.exec, out.data, out.batches * out.batch_stride);
          }};
}

}  // namespace bench
