#include <delta_attention/attention.hpp>

#include "methods.hpp"

namespace bench {

prepared sink_window(const tensors& t) {
  const da::sink_window mask{.sinks = sinks, .window = window};
  const memory workspace("bench::workspace",
                         da::workspace_size(t.exec, t.q, t.k, t.v, t.out, mask));
  return to_output(t, [t, mask, workspace] {
    da::attention(t.exec, t.q, t.k, t.v, t.out, mask, da::options{.workspace = workspace});
  });
}

}  // namespace bench
