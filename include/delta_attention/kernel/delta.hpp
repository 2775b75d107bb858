#pragma once

#include <delta_attention/kernel/attention.hpp>
#include <delta_attention/mask/causal.hpp>
#include <delta_attention/mask/hidden.hpp>
#include <delta_attention/mask/sink_window.hpp>
#include <delta_attention/options.hpp>

namespace delta_attention::kernel {

/// Does a mask see no key after the row's position, by its type?
template <class M> inline constexpr bool is_within_causal = false;
template <> inline constexpr bool is_within_causal<causal> = true;
template <> inline constexpr bool is_within_causal<sink_window> = true;
template <class A, class B>
inline constexpr bool is_within_causal<mask::union_of<A, B>> =
    is_within_causal<A> && is_within_causal<B>;
template <class A, class B>
inline constexpr bool is_within_causal<mask::intersection_of<A, B>> =
    is_within_causal<A> || is_within_causal<B>;

/// The mask within causal.
template <class M> auto within_causal(const M& m) {
  if constexpr (is_within_causal<M>)
    return m;
  else
    return m & causal{};
}

/// From an anchor's states, keys shown and keys hidden, to its dense row, which is stored as
/// output, and the difference dense - sparse, which replaces its first state of keys shown. Sink
/// logits join each denominator.
template <class Element> struct correct_anchors {
  using accumulator = accumulator_of<Element>;
  row_states<accumulator> shown, hidden;
  row_set anchors;
  output<Element> to;

  template <class Member>
  KOKKOS_FUNCTION void operator()(int batch, std::int64_t anchor, int head,
                                  const Member& team) const {
    const merged_states<accumulator> s(shown, batch, anchor, head), h(hidden, batch, anchor, head);
    const merge_weights<accumulator> w(s.lse(), h.lse());
    const accumulator logit = to.sink_logit(head);
    const auto sparse = with_sink<accumulator>({1, s.lse()}, logit),
               dense = with_sink<accumulator>({1, w.lse}, logit);
    const std::int64_t token = anchors.first + anchor * anchors.step;
    accumulator* difference = shown.out.row(batch, shown.parts.place(0, anchor), head);
    Element* out = to.out.row(batch, token, head);
    // A lane has the same channels in both.
    s.for_each_channel(team, [&](int c, accumulator x) { difference[c] = x; });
    h.for_each_channel(team, [&](int c, accumulator y) {
      const accumulator x = difference[c], d = (w.a * x + w.b * y) * dense.factor;
      out[c] = Element(d);
      // Nothing hidden, nothing to correct: exactly 0, whatever the rounding of the weights.
      difference[c] = w.b == 0 && w.a == 1 ? accumulator(0) : d - x * sparse.factor;
    });
    if (to.lse.data != nullptr)
      Kokkos::single(Kokkos::PerThread(team), [&] { *to.lse.row(batch, token, head) = dense.lse; });
  }
};

/// Mean of the differences of the last `average` anchors up to and including each. The first
/// `before` rows of the set lie at negative positions: no anchors, they see nothing.
template <class Accumulator> struct average_differences {
  tensor<Accumulator> differences, means;
  std::int64_t average, before;

  template <class Member>
  KOKKOS_FUNCTION void operator()(int batch, std::int64_t anchor, int head,
                                  const Member& team) const {
    const std::int64_t there_are = anchor < before ? 1 : anchor + 1 - before;
    const std::int64_t count = there_are < average ? there_are : average;
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, int(means.channels)), [&](int c) {
      Accumulator sum = 0;
      for (std::int64_t a = anchor + 1 - count; a <= anchor; ++a)
        sum += differences.row(batch, a, head)[c];
      means.row(batch, anchor, head)[c] = sum / Accumulator(count);
    });
  }
};

/// The whole method over a mask within causal; `tail` < query tokens.
template <class Family, class Run, class Element, class Mask>
void delta_passes(Run& run, const problem<Element>& p, const output<Element>& to, const Mask& shown,
                  const delta& how, std::int64_t tail) {
  using accumulator = accumulator_of<Element>;
  const std::int64_t body = p.queries() - tail;
  const row_set anchors{0, how.stride, (body + how.stride - 1) / how.stride}, sparse{0, 1, body};
  const auto dense = mask::bind(causal{}, p.geometry());
  store_corrected<Element> epilogue{{to}, {}, how.stride};

  output_pass<Family>("delta_attention::tail", run, p, dense, row_set{body, 1, tail}, to);
  if (how.correction == correction::recompute) {
    output_pass<Family>("delta_attention::anchors", run, p, dense, anchors, to);
    tiled_pass<Family>("delta_attention::sparse", run, p, shown, sparse, epilogue);
    return;
  }
  const mask::bound_hidden<Mask> hidden{shown, dense};
  const auto unseen =
      states_pass<Family>("delta_attention::anchors", run, p, hidden, anchors, true);
  const auto seen =
      states_pass<Family>("delta_attention::anchors_sparse", run, p, shown, anchors, false);
  const auto for_each_anchor = [&](const char* label, const auto& f) {
    for_each_row(label, run, p.batches(), anchors.count, p.query_heads(), f);
  };
  for_each_anchor("delta_attention::corrections",
                  correct_anchors<Element>{seen, unseen, anchors, to});
  tensor<accumulator> corrections = seen.first();
  if (how.average > 1) {
    corrections = unseen.out;  // which nobody needs any more
    for_each_anchor(
        "delta_attention::average",
        average_differences<accumulator>{seen.first(), corrections, how.average,
                                         std::max<std::int64_t>(0, -p.query_offset / how.stride)});
  }
  epilogue.corrections = constant(corrections);
  tiled_pass<Family>("delta_attention::sparse", run, p, shown, sparse, epilogue);
}

}  // namespace delta_attention::kernel
