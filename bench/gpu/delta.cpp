#include <delta_attention/delta.hpp>

#include "methods.hpp"

namespace bench {

namespace {
prepared over_sink_window(const tensors& t, const da::delta& how) {
  const da::sink_window mask{.sinks = sinks, .window = window};
  const memory workspace("bench::workspace",
                         da::workspace_size(t.exec, t.q, t.k, t.v, t.out, mask, how));
  return to_output(t, [t, how, mask, workspace] {
    da::delta_attention(t.exec, t.q, t.k, t.v, t.out, mask, how,
                        da::options{.workspace = workspace});
  });
}
}  // namespace

prepared delta(const tensors& t) {
  return over_sink_window(t, {.stride = stride});
}
prepared delta_averaged(const tensors& t) {
  return over_sink_window(t, {.stride = 256, .average = 16});
}

}  // namespace bench
