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

#include <sstream>
#include <string>

namespace delta_attention {

namespace kernel {
template <class Family, class Exec, class Q, class K, class V, class Out, class Mask,
          class Lse = none, class SinkLogits = none>
void attention(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Mask& m,
               const options<Lse, SinkLogits>& o = {}) {
  const auto c = checked(exec, q, k, v, out, o);
  mask::check(m, c.in.geometry());
  output_pass<Family>("delta_attention::attention", exec, c.in, mask::bind(m, c.in.geometry()),
                      row_set{0, 1, c.in.queries()}, c.out);
}
}  // namespace kernel

/// out = softmax(scale * q k^T under the mask) v.
///
/// q (batch, query token, query head, d), k (batch, key token, kv head, d), v (batch, key token, kv
/// head, dv) and out (batch, query token, query head, dv) are Views with contiguous channels, all
/// of one element type: float, double, float16 or bfloat16. Query head h reads kv head h / (query
/// heads / kv heads). Softmax and sums are in float (double for double). A row that sees no key
/// gives 0 and lse = -infinity. The kernels run on `exec`; nothing is fenced. Throws
/// contract_error, before anything is launched, where an argument breaks the contract.
template <class Exec, class Q, class K, class V, class Out, class Mask, class Lse = none,
          class SinkLogits = none>
void attention(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out, const Mask& m,
               const options<Lse, SinkLogits>& o = {}) {
  kernel::static_input_requirements<Exec, Q>();
  kernel::attention<arch::preferred<Exec, typename Q::non_const_value_type>>(exec, q, k, v, out, m,
                                                                             o);
}

/// One line that says how `attention` would carry out this call: instruction family, vector width
/// or backend, tiles, splits. Throws contract_error where the call would.
template <class Exec, class Q, class K, class V, class Out, class Mask, class Lse = none,
          class SinkLogits = none>
std::string describe(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                     const Mask& m, const options<Lse, SinkLogits>& o = {}) {
  const auto c = kernel::checked(exec, q, k, v, out, o);
  mask::check(m, c.in.geometry());
  using element = typename Q::non_const_value_type;
  using family = arch::preferred<Exec, element>;
  using tile = typename family::template tile<Exec, element>;
  using stream = typename family::template stream<Exec, element>;
  const kernel::row_set rows{0, 1, c.in.queries()};
  const bool heads_differ = mask::bind(m, c.in.geometry()).varies_by_head();
  std::ostringstream line;
  line << "delta_attention " DELTA_ATTENTION_VERSION ": " << family::description() << " on "
       << exec.name() << " (" << exec.concurrency() << " threads), " << element_name<element>()
       << ", d " << c.in.head_size() << ", dv " << c.in.value_size() << ", ";
  if (kernel::streams<stream>(c.in, heads_differ, rows))
    line << "few rows: keys split "
         << kernel::stream_schedule<stream>(exec, c.in, heads_differ, rows).splits
         << " ways and read in place";
  else
    line << "tiles of " << tile::tile_rows << " rows x " << tile::tile_keys << " keys, "
         << (heads_differ ? "one query head" : "the query heads of a kv head") << " a tile";
  return line.str();
}

}  // namespace delta_attention
