#pragma once

#include <delta_attention/kernel/call.hpp>
#include <delta_attention/kernel/states.hpp>

namespace delta_attention {

namespace kernel {
template <class Element> struct merge_two {
  using accumulator = accumulator_of<Element>;
  tensor<const Element> a, b;
  tensor<const accumulator> lse_a, lse_b;
  tensor<Element> out;
  tensor<accumulator> lse;

  template <class Member>
  KOKKOS_FUNCTION void operator()(int batch, std::int64_t token, int head,
                                  const Member& team) const {
    const merge_weights<accumulator> w(*lse_a.row(batch, token, head),
                                       *lse_b.row(batch, token, head));
    const Element *x = a.row(batch, token, head), *y = b.row(batch, token, head);
    Element* z = out.row(batch, token, head);
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, int(out.channels)), [&](int c) {
      // A state that saw nothing has weight 0, and counts for nothing whatever its output holds.
      z[c] = Element((w.a == 0 ? accumulator(0) : w.a * accumulator(x[c])) +
                     (w.b == 0 ? accumulator(0) : w.b * accumulator(y[c])));
    });
    Kokkos::single(Kokkos::PerThread(team), [&] { *lse.row(batch, token, head) = w.lse; });
  }
};
}  // namespace kernel

/// Merges the attention of the same rows over two disjoint sets of keys into that over both:
/// FlashInfer's mergeable states (Ye et al., arXiv 2501.01005, section 2.2).
///
/// With x and y the two outputs and m = log(exp(lse_a) + exp(lse_b)): out = x exp(lse_a - m) +
/// y exp(lse_b - m), lse = m. A state with lse = -infinity has seen no key and counts for nothing.
/// out and lse may be those of a or b, or memory of their own.
///
/// @param exec the execution space instance that the kernel runs on; nothing is fenced
/// @param out_a,out_b the outputs, Views (batch, query token, query head, dv) of one element type
/// (float, double, float16 or bfloat16) with contiguous channels
/// @param lse_a,lse_b their lse, Views (batch, query token, query head) of float (double for
/// double): natural logarithms, as `attention` writes them
/// @param out as out_a, written
/// @param lse as lse_a, written
/// @throws contract_error where sizes differ, or memory overlaps in part
template <class Exec, class OutA, class LseA, class OutB, class LseB, class Out, class Lse>
void merge_states(const Exec& exec, const OutA& out_a, const LseA& lse_a, const OutB& out_b,
                  const LseB& lse_b, const Out& out, const Lse& lse) {
  kernel::static_input_requirements<Exec, OutA>();
  kernel::static_input_requirements<Exec, OutB>();
  kernel::static_input_requirements<Exec, Out>();
  kernel::static_requirements<Exec, LseA>();
  kernel::static_requirements<Exec, LseB>();
  kernel::static_requirements<Exec, Lse>();
  using element = typename Out::non_const_value_type;
  using accumulator = accumulator_of<element>;
  static_assert(std::is_same_v<element, typename OutA::non_const_value_type> &&
                    std::is_same_v<element, typename OutB::non_const_value_type>,
                "out_a, out_b and out must have the same element type");
  static_assert(
      !std::is_const_v<typename Out::value_type> && !std::is_const_v<typename Lse::value_type>,
      "out and lse must not be Views of const elements: they are written");
  static_assert(std::is_same_v<accumulator, typename LseA::non_const_value_type> &&
                    std::is_same_v<accumulator, typename LseB::non_const_value_type> &&
                    std::is_same_v<accumulator, typename Lse::non_const_value_type>,
                "lse_a, lse_b and lse must be Views of float, or of double where the elements are");
  static_assert(LseA::rank() == 3 && LseB::rank() == 3 && Lse::rank() == 3,
                "lse_a, lse_b and lse must have rank 3: (batch, query token, query head)");

  const kernel::merge_two<element> f{constant(erase(out_a)),
                                     constant(erase(out_b)),
                                     constant(erase(lse_a)),
                                     constant(erase(lse_b)),
                                     erase(out),
                                     erase(lse)};
  kernel::require_contiguous_channels("out_a", out_a);
  kernel::require_contiguous_channels("out_b", out_b);
  kernel::require_contiguous_channels("out", out);
  const auto like_out = [&](const char* name, const auto& t, std::int64_t channels) {
    require(t.batches == f.out.batches && t.tokens == f.out.tokens && t.heads == f.out.heads, name,
            " is ", kernel::shape_of(t.batches, t.tokens, t.heads),
            ", but out has (batches, tokens, heads) ",
            kernel::shape_of(f.out.batches, f.out.tokens, f.out.heads));
    kernel::require_equal("channels", name, t.channels, "out", channels);
    kernel::require_data(name, t);
  };
  like_out("out_a", f.a, f.out.channels);
  like_out("out_b", f.b, f.out.channels);
  like_out("lse_a", f.lse_a, 1);
  like_out("lse_b", f.lse_b, 1);
  like_out("lse", f.lse, 1);
  kernel::require_data("out", f.out);
  kernel::require_distinct_elements("out", f.out);
  kernel::require_distinct_elements("lse", f.lse);
  const auto same_or_apart = [](const char* out_name, const auto& to, const char* in_name,
                                const auto& in) {
    if (!same_elements(to, in)) kernel::require_apart(out_name, to, in_name, in);
  };
  same_or_apart("out", f.out, "out_a", f.a);
  same_or_apart("out", f.out, "out_b", f.b);
  same_or_apart("lse", f.lse, "lse_a", f.lse_a);
  same_or_apart("lse", f.lse, "lse_b", f.lse_b);
  kernel::require_apart("out", f.out, "lse_a", f.lse_a);
  kernel::require_apart("out", f.out, "lse_b", f.lse_b);
  kernel::require_apart("lse", f.lse, "out_a", f.a);
  kernel::require_apart("lse", f.lse, "out_b", f.b);
  kernel::require_apart("lse", f.lse, "out", f.out);
  const kernel::execution<Exec, true> run(exec);
  kernel::for_each_row("delta_attention::merge_states", run, f.out.batches, f.out.tokens,
                       f.out.heads, f);
}

}  // namespace delta_attention
