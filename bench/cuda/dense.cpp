#include <delta_attention/attention.hpp>

#include "methods.hpp"

namespace bench {

prepared dense(const tensors& t) {
  return to_output(t, [t] { da::attention(t.exec, t.q, t.k, t.v, t.out, da::causal{}); });
}

std::string describe_dense(const tensors& t) {
  return da::describe(t.exec, t.q, t.k, t.v, t.out, da::causal{});
}

}  // namespace bench
