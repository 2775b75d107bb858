#include <delta_attention/attention.hpp>

#include "methods.hpp"

namespace bench {

prepared sink_window(const tensors& t) {
  return to_output(t, [t] {
    const da::sink_window mask{.sinks = sinks, .window = window};
    da::attention(t.exec, t.q, t.k, t.v, t.out, mask);
  });
}

}  // namespace bench
