#pragma once

#include <delta_attention/arch/select.hpp>
#include <delta_attention/kernel/attention.hpp>
#include <delta_attention/kernel/call.hpp>
#include <delta_attention/mask/algebra.hpp>
#include <delta_attention/mask/block_sparse.hpp>
#include <delta_attention/mask/causal.hpp>
#include <delta_attention/mask/full.hpp>
#include <delta_attention/mask/sink_window.hpp>
#include <delta_attention/options.hpp>
#include <delta_attention/version.hpp>

#include <cstddef>
#include <sstream>
#include <string>

namespace delta_attention {

namespace kernel {
/// Checks a call; returns its passes, for kernel/execution.hpp.
template <class Family, class Exec, class Q, class K, class V, class Out, class Mask, class Options>
auto attention_passes(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                      const Mask& m, const Options& o) {
  const auto c = checked(exec, q, k, v, out, o);
  mask::check(m, c.in.geometry());
  return [c, bound = mask::bind(m, c.in.geometry())](auto& run) {
    output_pass<Family>("delta_attention::attention", run, c.in, bound,
                        row_set{0, 1, c.in.queries()}, c.out);
  };
}
template <class Family, class Exec, class Q, class K, class V, class Out, class Mask,
          class Options = options<>>
void attention(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Mask& m,
               const Options& o = {}) {
  run_passes(exec, o, attention_passes<Family>(exec, q, k, v, out, m, o));
}
}  // namespace kernel

/// out = softmax(scale * q k^T under the mask) v.
///
/// The tensors are Views with contiguous channels, all of one element type: float, double, float16
/// or bfloat16. Query head h reads kv head h / (query heads / kv heads). Softmax and sums are in
/// float (double for double). A row that sees no key gives 0 and lse = -infinity; keys and values
/// that no row sees may hold anything.
///
/// @param exec the execution space instance that the kernels run on; nothing is fenced
/// @param q (batch, query token, query head, d); d is a multiple of 8 from 16 to 256
/// @param k (batch, key token, kv head, d)
/// @param v (batch, key token, kv head, dv); dv is a multiple of 8 from 16 to 256
/// @param out (batch, query token, query head, dv), written
/// @param m which keys a row sees: full, causal, sink_window, block_sparse, a struct of your own
/// derived from mask_base, or a combination of them by | and &
/// @param o scale, softcap, query_offset, lse, sink_logits and workspace
/// @throws contract_error where an argument breaks the contract, before anything is launched
template <class Exec, class Q, class K, class V, class Out, class Mask, class Lse = none,
          class SinkLogits = none, class Workspace = none>
void attention(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Mask& m,
               const options<Lse, SinkLogits, Workspace>& o = {}) {
  kernel::static_input_requirements<Exec, Q>();
  kernel::attention<arch::preferred<Exec, typename Q::non_const_value_type>>(exec, q, k, v, out, m,
                                                                             o);
}

/// The bytes of temporary memory that `attention` takes from `options.workspace` in this call.
///
/// @param exec,q,k,v,out,m,o the arguments of `attention`; the size depends on their sizes, strides
/// and element type, on the mask's type and on the device, not on what the tensors hold
/// @returns a number of bytes, 0 for most calls of many rows
/// @throws contract_error where the call would
template <class Exec, class Q, class K, class V, class Out, class Mask, class Lse = none,
          class SinkLogits = none, class Workspace = none>
std::size_t workspace_size(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                           const Mask& m, const options<Lse, SinkLogits, Workspace>& o = {}) {
  kernel::static_input_requirements<Exec, Q>();
  using family = arch::preferred<Exec, typename Q::non_const_value_type>;
  return kernel::bytes_of(exec, kernel::attention_passes<family>(exec, q, k, v, out, m, o));
}

/// How `attention` would carry out this call: instruction family, vector width or backend, tiles,
/// splits. Nothing is launched.
///
/// @param exec,q,k,v,out,m,o the arguments of `attention`
/// @returns one line of text, for people
/// @throws contract_error where the call would
template <class Exec, class Q, class K, class V, class Out, class Mask, class Lse = none,
          class SinkLogits = none, class Workspace = none>
std::string describe(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                     const Mask& m, const options<Lse, SinkLogits, Workspace>& o = {}) {
  const auto c = kernel::checked(exec, q, k, v, out, o);
  mask::check(m, c.in.geometry());
  using element = typename Q::non_const_value_type;
  using family = arch::preferred<Exec, element>;
  const kernel::row_set rows{0, 1, c.in.queries()};
  const auto bound = mask::bind(m, c.in.geometry());
  const bool heads_differ = bound.varies_by_head();
  std::ostringstream line;
  const auto begin = [&](const std::string& instructions) -> std::ostream& {
    return line << "delta_attention " DELTA_ATTENTION_VERSION ": " << instructions << " on "
                << exec.name() << " (" << exec.concurrency() << " threads), "
                << element_name<element>() << ", d " << c.in.head_size() << ", dv "
                << c.in.value_size() << ", ";
  };
  family::template with_stream<Exec>(c.in, [&]<class Stream>(std::type_identity<Stream>) {
    if (kernel::streams<Stream>(c.in, heads_differ, rows)) {
      begin(Stream::description())
          << "few rows: tiles of " << Stream::tile_rows << " rows x " << Stream::tile_keys
          << " keys, keys split "
          << kernel::stream_schedule<Stream>(exec, c.in, heads_differ, rows).parts.count << " ways";
      return;
    }
    family::template with_tile<Exec, std::decay_t<decltype(bound)>>(
        c.in, [&]<class Tile>(std::type_identity<Tile>, const auto&...) {
          const int splits =
              kernel::tile_schedule<Tile>(exec, c.in, heads_differ, rows).parts.count;
          begin(Tile::description())
              << "tiles of " << Tile::tile_rows << " rows x " << Tile::tile_keys << " keys, "
              << (heads_differ ? "one query head" : "the query heads of a kv head") << " a tile";
          if (splits > 1) line << ", keys split " << splits << " ways";
        });
  });
  return line.str();
}

}  // namespace delta_attention
