#pragma once

#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/options.hpp>
#include <delta_attention/tensor/contract.hpp>
#include <delta_attention/tensor/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

namespace delta_attention::kernel {

// From what a user passes to what a kernel gets: every requirement of the interface is one check
// here.

template <class Exec, class View> constexpr void static_requirements() {
  static_assert(Kokkos::is_execution_space_v<Exec>,
                "the first argument must be a Kokkos execution space instance");
  static_assert(Kokkos::is_view_v<View>,
                "q, k, v, out, lse, sink_logits and workspace must be Kokkos Views");
  if constexpr (Kokkos::is_view_v<View>)
    static_assert(Kokkos::SpaceAccessibility<Exec, typename View::memory_space>::accessible,
                  "a View lies in memory that the execution space cannot access");
}
template <class Exec, class View> constexpr void static_input_requirements() {
  static_requirements<Exec, View>();
  if constexpr (Kokkos::is_view_v<View>) {
    static_assert(View::rank() == 4,
                  "q, k, v and out must have rank 4: (batch, token, head, channel)");
    static_assert(
        is_element<typename View::non_const_value_type>,
        "elements must be float, double, delta_attention::float16 or delta_attention::bfloat16");
  }
}

inline std::string shape_of(std::int64_t a, std::int64_t b, std::int64_t c) {
  return "(" + std::to_string(a) + ", " + std::to_string(b) + ", " + std::to_string(c) + ")";
}

template <class View> void require_contiguous_channels(const char* name, const View& v) {
  require(v.extent(3) <= 1 || v.stride(3) == 1, name, " has stride ", v.stride(3),
          " between channels, but the last extent must be contiguous (stride 1)");
}
template <class T> void require_data(const char* name, const tensor<T>& t) {
  require(t.empty() || t.data != nullptr, name, " has ",
          t.batches * t.tokens * t.heads * t.channels,
          " elements, but no memory (its data() is null)");
}
inline void require_equal(const char* what, const char* a, std::int64_t x, const char* b,
                          std::int64_t y) {
  require(x == y, a, " has ", x, " ", what, ", but ", b, " has ", y);
}
inline void require_head_size(const char* name, std::int64_t d) {
  require(d >= 16 && d <= 256 && d % 8 == 0, name, " has head size ", d,
          ", but head sizes are multiples of 8 from 16 to 256");
}

/// Throws where writing `out` could change `in`, or where two elements of `out` are the same
/// memory.
template <class T, class U>
void require_apart(const char* out_name, const tensor<T>& out, const char* in_name,
                   const tensor<U>& in) {
  if (out.empty() || in.empty()) return;
  const auto token_bytes = [](const auto& t) {
    return ((t.heads - 1) * t.head_stride + t.channels) * sizeof(*t.data);
  };
  const auto bytes = [&](const auto& t) {
    return ((t.batches - 1) * t.batch_stride + (t.tokens - 1) * t.token_stride) * sizeof(*t.data) +
           token_bytes(t);
  };
  const auto begin = [](const auto& t) { return reinterpret_cast<std::uintptr_t>(t.data); };
  if (begin(out) + bytes(out) <= begin(in) || begin(in) + bytes(in) <= begin(out)) return;
  // Interleaved token by token, as parts of one fused tensor are, they may still be apart.
  const std::uintptr_t step = out.token_stride * sizeof(*out.data);
  const bool same_step = step != 0 && step == in.token_stride * sizeof(*in.data) &&
                         (out.batches == 1 || out.batch_stride % out.token_stride == 0) &&
                         (in.batches == 1 || in.batch_stride % in.token_stride == 0);
  if (same_step) {
    const std::uintptr_t distance =
        (begin(in) - begin(out)) % step;  // modulo 2^64 would need step to divide it
    const std::uintptr_t gap =
        begin(in) >= begin(out) ? distance : (step - (begin(out) - begin(in)) % step) % step;
    if (gap >= token_bytes(out) && gap + token_bytes(in) <= step) return;
  }
  require(false, out_name, " (", bytes(out), " bytes at ", static_cast<const void*>(out.data),
          ") overlaps ", in_name, " (", bytes(in), " bytes at ", static_cast<const void*>(in.data),
          "), but what a call writes must be memory of its own");
}
template <class T> void require_distinct_elements(const char* name, const tensor<T>& t) {
  if (t.empty()) return;
  struct dimension {
    std::int64_t stride, extent;
  } order[] = {{t.batch_stride, t.batches}, {t.token_stride, t.tokens}, {t.head_stride, t.heads}};
  std::sort(std::begin(order), std::end(order), [](auto a, auto b) { return a.stride < b.stride; });
  std::int64_t span = t.channels;  // elements from the first to the last of what is inside
  bool apart = true;
  for (const dimension& d : order) {
    if (d.extent == 1) continue;
    apart = apart && d.stride >= span;
    span += (d.extent - 1) * d.stride;
  }
  require(apart, name, " has strides ", shape_of(t.batch_stride, t.token_stride, t.head_stride),
          " for extents ", shape_of(t.batches, t.tokens, t.heads), " of (batch, token, head) and ",
          t.channels, " channels, but elements that are written must not share memory");
}

template <class Element> struct call {
  problem<Element> in;
  output<Element> out;
};

/// Checks tensors and options of a call and erases their types. Throws contract_error.
template <class Exec, class Q, class K, class V, class Out, class Lse, class SinkLogits,
          class Workspace>
auto checked(const Exec&, const Q& q, const K& k, const V& v, const Out& out,
             const options<Lse, SinkLogits, Workspace>& o) {
  static_input_requirements<Exec, Q>();
  static_input_requirements<Exec, K>();
  static_input_requirements<Exec, V>();
  static_input_requirements<Exec, Out>();
  using element = typename Q::non_const_value_type;
  using accumulator = accumulator_of<element>;
  static_assert(std::is_same_v<element, typename K::non_const_value_type> &&
                    std::is_same_v<element, typename V::non_const_value_type> &&
                    std::is_same_v<element, typename Out::non_const_value_type>,
                "q, k, v and out must have the same element type");
  static_assert(!std::is_const_v<typename Out::value_type>,
                "out must not be a View of const elements: it is written");

  call<element> c;
  c.in.q = constant(erase(q));
  c.in.k = constant(erase(k));
  c.in.v = constant(erase(v));
  c.out.out = erase(out);
  const auto &tq = c.in.q, &tk = c.in.k, &tv = c.in.v;
  const auto& to = c.out.out;

  require_contiguous_channels("q", q);
  require_contiguous_channels("k", k);
  require_contiguous_channels("v", v);
  require_contiguous_channels("out", out);
  require_equal("batches", "k", tk.batches, "q", tq.batches);
  require_equal("batches", "v", tv.batches, "q", tq.batches);
  require_equal("batches", "out", to.batches, "q", tq.batches);
  require_equal("tokens", "out", to.tokens, "q", tq.tokens);
  require_equal("tokens", "v", tv.tokens, "k", tk.tokens);
  require(tq.heads >= 1, "q has ", tq.heads, " heads, but there must be at least 1");
  require(tk.heads >= 1, "k has ", tk.heads, " kv heads, but there must be at least 1");
  require_equal("heads", "out", to.heads, "q", tq.heads);
  require_equal("kv heads", "v", tv.heads, "k", tk.heads);
  require(tq.heads % tk.heads == 0, "k has ", tk.heads, " kv heads, which do not divide the ",
          tq.heads, " heads of q");
  constexpr std::int64_t most_together = 1'000'000;  // kernel::divisor's, less a tile
  require(tq.heads / tk.heads <= most_together, "q has ", tq.heads, " heads for ", tk.heads,
          " kv heads, but at most ", most_together, " heads can share one");
  require_head_size("q", tq.channels);
  require_head_size("v", tv.channels);
  require_equal("channels", "k", tk.channels, "q", tq.channels);
  require_equal("channels", "out", to.channels, "v", tv.channels);
  require_data("q", tq);
  require_data("k", tk);
  require_data("v", tv);
  require_data("out", to);
  require_distinct_elements("out", to);
  require_apart("out", to, "q", tq);
  require_apart("out", to, "k", tk);
  require_apart("out", to, "v", tv);

  const double scale = o.scale.value_or(1 / std::sqrt(double(tq.channels)));
  require(std::isfinite(scale), "options.scale is ", scale, ", but it must be finite");
  require(std::isfinite(o.softcap) && o.softcap >= 0, "options.softcap is ", o.softcap,
          ", but it must be finite and positive, or 0 for none");
  c.in.scale = accumulator(scale);
  c.in.softcap = accumulator(o.softcap);
  c.in.query_offset = o.query_offset.value_or(tk.tokens - tq.tokens);
  constexpr std::int64_t far = std::int64_t(1) << 60;
  require(c.in.query_offset >= -far && c.in.query_offset <= far, "options.query_offset is ",
          c.in.query_offset, ", but positions lie within +-2^60");

  if constexpr (!std::is_same_v<Lse, none>) {
    static_requirements<Exec, Lse>();
    static_assert(Lse::rank() == 3,
                  "options.lse must have rank 3: (batch, query token, query head)");
    static_assert(std::is_same_v<typename Lse::value_type, accumulator>,
                  "options.lse must be a View of float, or of double where the elements are");
    c.out.lse = erase(o.lse);
    const auto& l = c.out.lse;
    require(l.batches == tq.batches && l.tokens == tq.tokens && l.heads == tq.heads,
            "options.lse is ", shape_of(l.batches, l.tokens, l.heads),
            ", but q has (batches, tokens, heads) ", shape_of(tq.batches, tq.tokens, tq.heads));
    require_data("options.lse", l);
    require_distinct_elements("options.lse", l);
    require_apart("options.lse", l, "q", tq);
    require_apart("options.lse", l, "k", tk);
    require_apart("options.lse", l, "v", tv);
    require_apart("options.lse", l, "out", to);
  }
  if constexpr (!std::is_same_v<SinkLogits, none>) {
    static_requirements<Exec, SinkLogits>();
    static_assert(SinkLogits::rank() == 1, "options.sink_logits must have rank 1: (query head)");
    static_assert(std::is_same_v<typename SinkLogits::non_const_value_type, float>,
                  "options.sink_logits must be a View of float");
    auto& s = c.out.sink_logits;
    s.data = o.sink_logits.data();
    s.batches = s.tokens = 1;
    s.heads = o.sink_logits.extent(0);
    s.head_stride = o.sink_logits.stride(0);
    require(s.heads == tq.heads, "options.sink_logits has ", s.heads, " logits, but q has ",
            tq.heads, " heads");
    require_data("options.sink_logits", s);
    require_apart("out", to, "options.sink_logits", s);
    require_apart("options.lse", c.out.lse, "options.sink_logits", s);
  }
  if constexpr (!std::is_same_v<Workspace, none>) {
    static_requirements<Exec, Workspace>();
    static_assert(Workspace::rank() == 1 && sizeof(typename Workspace::value_type) == 1 &&
                      !std::is_const_v<typename Workspace::value_type>,
                  "options.workspace must be a View of rank 1 of std::byte, char or unsigned char");
    tensor<typename Workspace::value_type> w;
    w.data = o.workspace.data();
    w.batches = w.tokens = w.heads = 1;
    w.channels = static_cast<std::int64_t>(o.workspace.extent(0));
    require_data("options.workspace", w);
    require(o.workspace.extent(0) <= 1 || o.workspace.stride(0) == 1,
            "options.workspace has stride ", o.workspace.stride(0), ", but it must be contiguous");
    const auto apart = [&](const char* name, const auto& t) {
      require_apart("options.workspace", w, name, t);
    };
    apart("q", tq);
    apart("k", tk);
    apart("v", tv);
    apart("out", to);
    apart("options.lse", c.out.lse);
    apart("options.sink_logits", c.out.sink_logits);
  }
  return c;
}

}  // namespace delta_attention::kernel
