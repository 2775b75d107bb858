// delta_attention: over a mask of ours and one of a user's.
#include "operators.hpp"

void delta(const space& exec, const tensors<da::bfloat16>& t) {
  da::delta_attention(exec, t.q, t.k, t.v, t.out, da::sink_window{.sinks = 64, .window = 512},
                      da::delta{.stride = 64, .average = 16});
}

void delta(const space& exec, const tensors<float>& t, statistics lse) {
  da::delta_attention(exec, t.q, t.k, t.v, t.out, every_third{}, da::delta{},
                      da::options{.lse = lse});
}
