// The one place that calls `attention`: by family, or as users do (best_family).
#pragma once

#include <catch2/catch_test_macros.hpp>
#include <functional>
#include <optional>
#include <sstream>
#include <string>

#include "compare.hpp"
#include "kernels.hpp"
#include "mask_cases.hpp"
#include "problem.hpp"

template <class Family, class Exec, class Q, class K, class V, class Out, class Mask, class Options>
void call_attention(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                    const Mask& mask, const Options& options) {
  if constexpr (std::is_same_v<Family, best_family>)
    da::attention(exec, q, k, v, out, mask, options);
  else
    da::kernel::attention<Family>(exec, q, k, v, out, mask, options);
}

inline std::string describe(const oracle::parameters& o) {
  std::ostringstream text;
  if (o.scale) text << " scale " << *o.scale;
  if (o.softcap != 0) text << " softcap " << o.softcap;
  if (o.query_offset) text << " query_offset " << *o.query_offset;
  if (!o.sink_logits.empty()) text << " sink logits";
  return text.str();
}

struct results {
  oracle::tensor<double> out, lse;
};

/// Uploads, calls `function(options)` and downloads; nothing beside the outputs may have been
/// written.
template <class Exec, class Element, class Function>
results run(problem<Exec, Element>& p, const Function& function) {
  p.upload();
  const auto& o = p.options;
  if (o.sink_logits.empty())
    function(da::options{
        .scale = o.scale, .softcap = o.softcap, .query_offset = o.query_offset, .lse = p.lse});
  else
    function(da::options{.scale = o.scale,
                         .softcap = o.softcap,
                         .query_offset = o.query_offset,
                         .lse = p.lse,
                         .sink_logits = p.sink_logits});
  p.exec.fence("test: results are ready");
  results r{p.out_buffer.download(), p.download_lse()};
  CHECK(p.out_buffer.untouched());
  return r;
}

template <class Family, class Exec, class Element, class Mask>
results run_attention(problem<Exec, Element>& p, const Mask& mask) {
  return run(p, [&](const auto& options) {
    call_attention<Family>(p.exec, p.q_buffer.view(), p.k_buffer.view(), p.v_buffer.view(),
                           p.out_buffer.view(), mask, options);
  });
}

/// Both results against the oracle; says what is wrong, or nothing.
template <class Element, bool RoundsWeights = false, class Truth, class Plain>
std::string judge(const results& got, const oracle::state<Truth>& truth,
                  const oracle::state<Plain>& plain) {
  using traits = element_traits<Element>;
  using number = element_traits<statistic<Element>>;
  const rounding stored{traits::half_ulp, traits::smallest, number::half_ulp, truth.largest_score,
                        RoundsWeights ? traits::half_ulp : 0};
  const rounding exact{number::half_ulp, number::smallest, number::half_ulp, truth.largest_score};
  const std::string out = compare(got.out, truth.out, plain.out, stored);
  const std::string lse = compare(got.lse, truth.lse, plain.lse, exact);
  return (out.empty() ? "" : "out: " + out + " ") + (lse.empty() ? "" : "lse: " + lse);
}

/// Compares a call with the oracle, on any thread; empty where they agree. The call is over, but
/// its problem must live on.
using verdict = std::function<std::string()>;

/// A call of a family against `formula(q, k, v, options)` of the oracle, in its arithmetic and in
/// that of a plain implementation, whose weights are rounded if the family's are.
template <class Family, class Exec, class Element, class Formula>
std::string judge(const results& got, const problem<Exec, Element>& p, const Formula& formula) {
  using traits = element_traits<Element>;
  using plain = typename traits::plain;
  constexpr bool rounds = rounds_weights<Family, Exec, Element>;
  oracle::parameters options = p.options;
  if (rounds) options.weight = [](double w) { return traits::to(traits::from(w)); };
  return judge<Element, rounds>(got, formula(p.q, p.k, p.v, p.options),
                                formula(p.q.template as<plain>(), p.k.template as<plain>(),
                                        p.v.template as<plain>(), options));
}

/// One call of attention, to be compared.
template <class Family, class Exec, class Element, class Mask>
verdict attention_verdict(problem<Exec, Element>& p, const mask_case<Mask>& m) {
  p.poison_unread(m.allows);
  return [&p, allows = m.allows, got = run_attention<Family>(p, m.mask)] {
    return judge<Family>(got, p, [&](const auto& q, const auto& k, const auto& v, const auto& o) {
      return oracle::attention(q, k, v, allows, o);
    });
  };
}

template <class Setup>
using problem_of = problem<typename Setup::execution_space, typename Setup::element>;

template <class Setup, class Mask>
void check_attention(problem_of<Setup>& p, const mask_case<Mask>& m) {
  const std::string error = attention_verdict<typename Setup::family>(p, m)();
  INFO(setup_name<Setup>() << ": " << m.name << ", " << describe(p.sizes) << describe(p.options));
  INFO(error);
  CHECK(error.empty());
}

template <class Setup, class Mask>
void check_attention(const shape& s, const mask_case<Mask>& m,
                     const oracle::parameters& options = {}, layout where = layout::tokens_first,
                     unsigned seed = 1) {
  problem_of<Setup> p(s, options, seed, where);
  check_attention<Setup>(p, m);
}
