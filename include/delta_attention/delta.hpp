#pragma once

#include <delta_attention/attention.hpp>
#include <delta_attention/kernel/delta.hpp>

#include <algorithm>

namespace delta_attention {

namespace kernel {
/// Checks a call; returns its passes, for kernel/execution.hpp.
template <class Family, class Exec, class Q, class K, class V, class Out, class Mask, class Options>
auto delta_attention_passes(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                            const Mask& m, const delta& how, const Options& o) {
  const auto c = checked(exec, q, k, v, out, o);
  mask::check(m, c.in.geometry());
  require(how.stride >= 1, "delta.stride is ", how.stride,
          ", but anchors are at least 1 position apart");
  require(how.average >= 1, "delta.average is ", how.average,
          ", but a mean is over at least 1 anchor");
  const std::int64_t queries = c.in.queries();
  const std::int64_t tail =
      how.tail.value_or(queries % how.stride + std::max<std::int64_t>(128, how.stride));
  require(tail >= 0, "delta.tail is ", tail, ", but a number of rows cannot be negative");
  require(
      how.correction == correction::none || tail >= queries || c.in.query_offset % how.stride == 0,
      "the call starts at position ", c.in.query_offset,
      ", which is no multiple of delta.stride = ", how.stride,
      ": start a chunk at an anchor, and give its position in options.query_offset");

  return [c, how, tail, shown = mask::bind(within_causal(m), c.in.geometry())](auto& run) {
    const row_set all{0, 1, c.in.queries()};
    if (how.correction == correction::none)
      output_pass<Family>("delta_attention::sparse", run, c.in, shown, all, c.out);
    else if (tail >= all.count)
      output_pass<Family>("delta_attention::tail", run, c.in, mask::bind(causal{}, c.in.geometry()),
                          all, c.out);
    else
      delta_passes<Family>(run, c.in, c.out, shown, how, tail);
  };
}
template <class Family, class Exec, class Q, class K, class V, class Out, class Mask,
          class Options = options<>>
void delta_attention(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                     const Mask& m, const delta& how = {}, const Options& o = {}) {
  run_passes(exec, o, delta_attention_passes<Family>(exec, q, k, v, out, m, how, o));
}
}  // namespace kernel

/// Sparse attention, corrected by the difference that dense attention makes at every `stride`-th
/// row (Delta Attention, arXiv 2505.11254, Eq. 5-7).
///
/// The mask is intersected with causal. With s the sparse row, d the dense (causal) one and anchors
/// at the positions 0, stride, 2 stride, ..., a row at p gives d where it is an anchor or among the
/// last `tail` rows, else s + D, where D is the mean of d - s over the last `average` anchors up to
/// p. Differences and means are in float (double for double) and rounded once, with the output.
///
/// @param exec,q,k,v,out as in `attention`
/// @param m as in `attention`: which keys a sparse row sees
/// @param how stride, correction, average and tail
/// @param o as in `attention`; an lse is the sparse row's where the output is sparse or corrected,
/// and the dense row's at anchors and in the tail
/// @throws contract_error as `attention` does, and where the call does not start at an anchor
/// (query_offset is no multiple of the stride) although it has rows to correct
template <class Exec, class Q, class K, class V, class Out, class Mask, class Lse = none,
          class SinkLogits = none, class Workspace = none>
void delta_attention(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                     const Mask& m, const delta& how = {},
                     const options<Lse, SinkLogits, Workspace>& o = {}) {
  kernel::static_input_requirements<Exec, Q>();
  kernel::delta_attention<arch::preferred<Exec, typename Q::non_const_value_type>>(exec, q, k, v,
                                                                                   out, m, how, o);
}

/// The bytes of temporary memory that `delta_attention` takes from `options.workspace` in this
/// call: mostly the anchors' states, 2 x 4 (dv + 1) bytes (8 for double) an anchor and head.
///
/// @param exec,q,k,v,out,m,how,o the arguments of `delta_attention`; the size depends on their
/// sizes, strides and element type, on the mask's type and on the device, not on what the tensors
/// hold
/// @returns a number of bytes
/// @throws contract_error where the call would
template <class Exec, class Q, class K, class V, class Out, class Mask, class Lse = none,
          class SinkLogits = none, class Workspace = none>
std::size_t workspace_size(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                           const Mask& m, const delta& how,
                           const options<Lse, SinkLogits, Workspace>& o = {}) {
  kernel::static_input_requirements<Exec, Q>();
  using family = arch::preferred<Exec, typename Q::non_const_value_type>;
  return kernel::bytes_of(exec,
                          kernel::delta_attention_passes<family>(exec, q, k, v, out, m, how, o));
}

}  // namespace delta_attention
