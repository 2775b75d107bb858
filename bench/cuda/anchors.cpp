#include <delta_attention/delta.hpp>
#include <memory>

#include "methods.hpp"

namespace bench {

namespace {
using family = da::arch::preferred<execution_space, da::bfloat16>;
using states = da::kernel::state_memory<execution_space, float>;
}  // namespace

prepared anchors(const tensors& t) {
  const auto p = da::kernel::checked(t.exec, t.q, t.k, t.v, t.out, da::options<>{}).in;
  const da::kernel::row_set rows{0, stride, (p.queries() + stride - 1) / stride};
  const auto to = std::make_shared<states>(t.exec, p.batches(), rows.count, p.query_heads(),
                                           p.value_size(), 1);
  return {[t, p, rows, to] {
            da::kernel::tiled_pass<family>("bench::anchors", t.exec, p,
                                           da::mask::bind(da::causal{}, p.geometry()), rows,
                                           to->epilogue());
          },
          [t, to] {
            const auto& o = to->out;
            return rms_of(t.exec, o.data, o.batches * o.batch_stride);
          }};
}

}  // namespace bench
