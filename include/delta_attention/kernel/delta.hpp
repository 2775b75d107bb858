#pragma once

#include <delta_attention/kernel/attention.hpp>
#include <delta_attention/mask/causal.hpp>
#include <delta_attention/mask/sink_window.hpp>
#include <delta_attention/options.hpp>

namespace delta_attention::kernel {

/// The mask within causal; the library's own causal masks are that already.
template <class M> auto within_causal(const M& m) {
  if constexpr (std::is_same_v<M, causal> || std::is_same_v<M, sink_window>)
    return m;
  else
    return m & causal{};
}

/// From an anchor's two states, keys shown and keys hidden, to its dense row, which is stored as
/// output, and the difference dense - sparse, which replaces the shown state. Sink logits join each
/// denominator.
template <class Element> struct correct_anchors {
  using accumulator = accumulator_of<Element>;
  tensor<accumulator> shown, shown_lse, hidden, hidden_lse;
  row_set anchors;
  output<Element> to;

  template <class Member>
  KOKKOS_FUNCTION void operator()(int batch, std::int64_t anchor, int head,
                                  const Member& team) const {
    const accumulator sparse_lse = *shown_lse.row(batch, anchor, head);
    const merge_weights<accumulator> w(sparse_lse, *hidden_lse.row(batch, anchor, head));
    row_result<accumulator> sparse{1, sparse_lse}, dense{1, w.lse};
    if (to.sink_logits.data != nullptr) {
      const accumulator logit = *to.sink_logits.row(0, 0, head);
      sparse = with_sink(sparse, logit);
      dense = with_sink(dense, logit);
    }
    const std::int64_t token = anchors.first + anchor * anchors.step;
    accumulator* s = shown.row(batch, anchor, head);
    const accumulator* h = hidden.row(batch, anchor, head);
    Element* out = to.out.row(batch, token, head);
    Kokkos::parallel_for(Kokkos::TeamVectorRange(team, int(shown.channels)), [&](int c) {
      const accumulator d = (w.a * s[c] + w.b * h[c]) * dense.factor;
      out[c] = Element(d);
      // Nothing hidden, nothing to correct: exactly 0, whatever the rounding of the weights.
      s[c] = w.b == 0 && w.a == 1 ? accumulator(0) : d - s[c] * sparse.factor;
    });
    if (to.lse.data != nullptr)
      Kokkos::single(Kokkos::PerTeam(team), [&] { *to.lse.row(batch, token, head) = dense.lse; });
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
    Kokkos::parallel_for(Kokkos::TeamVectorRange(team, int(means.channels)), [&](int c) {
      Accumulator sum = 0;
      for (std::int64_t a = anchor + 1 - count; a <= anchor; ++a)
        sum += differences.row(batch, a, head)[c];
      means.row(batch, anchor, head)[c] = sum / Accumulator(count);
    });
  }
};

/// The whole method over a mask within causal; `tail` < query tokens.
template <class Family, class Exec, class Element, class Mask>
void delta_passes(const Exec& exec, const problem<Element>& p, const output<Element>& to,
                  const Mask& shown, const delta& how, std::int64_t tail) {
  using accumulator = accumulator_of<Element>;
  const std::int64_t body = p.queries() - tail;
  const row_set anchors{0, how.stride, (body + how.stride - 1) / how.stride}, sparse{0, 1, body};
  const auto dense = mask::bind(causal{}, p.geometry());
  store_corrected<Element> epilogue{{to}, {}, how.stride};

  output_pass<Family>("delta_attention::tail", exec, p, dense, row_set{body, 1, tail}, to);
  if (how.correction == correction::recompute) {
    output_pass<Family>("delta_attention::anchors", exec, p, dense, anchors, to);
    tiled_pass<Family>("delta_attention::sparse", exec, p, shown, sparse, epilogue);
    return;
  }
  const auto states = [&] {
    return state_memory<Exec, accumulator>(exec, p.batches(), anchors.count, p.query_heads(),
                                           p.value_size(), 1);
  };
  const state_memory<Exec, accumulator> seen = states(), unseen = states();
  using complement = mask::bound_complement<Mask>;
  const mask::bound_intersection<causal::bound, complement> hidden{
      dense, complement{shown, p.keys()}, p.keys()};
  tiled_pass<Family>("delta_attention::anchors", exec, p, hidden, anchors, unseen.epilogue());
  tiled_pass<Family>("delta_attention::anchors", exec, p, shown, anchors, seen.epilogue());
  for_each_row("delta_attention::corrections", exec, p.batches(), anchors.count, p.query_heads(),
               correct_anchors<Element>{seen.out, seen.lse, unseen.out, unseen.lse, anchors, to});
  tensor<accumulator> corrections = seen.out;
  if (how.average > 1) {
    corrections = unseen.out;
    for_each_row(
        "delta_attention::average", exec, p.batches(), anchors.count, p.query_heads(),
        average_differences<accumulator>{seen.out, unseen.out, how.average,
                                         std::max<std::int64_t>(0, -p.query_offset / how.stride)});
  }
  epilogue.corrections = constant(corrections);
  tiled_pass<Family>("delta_attention::sparse", exec, p, shown, sparse, epilogue);
}

}  // namespace delta_attention::kernel
