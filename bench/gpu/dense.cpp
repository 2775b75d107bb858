#include <delta_attention/attention.hpp>

#include "methods.hpp"

namespace bench {

prepared dense(const tensors& t) {
  const memory workspace("bench::workspace",
                         da::workspace_size(t.exec, t.q, t.k, t.v, t.out, da::causal{}));
  return to_output(t, [t, workspace] {
    da::attention(t.exec, t.q, t.k, t.v, t.out, da::causal{}, da::options{.workspace = workspace});
  });
}

std::string describe_dense(const tensors& t) {
  return da::describe(t.exec, t.q, t.k, t.v, t.out, da::causal{});
}

}  // namespace bench
