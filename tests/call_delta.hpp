// The one place that calls `delta_attention`: by family, or as users do (best_family).
#pragma once

#include "call.hpp"

template <class Family, class Exec, class Q, class K, class V, class Out, class Mask, class Options>
void call_delta(const Exec& exec, const Q& q, const K& k, const V& v, const Out& out,
                const Mask& mask, const da::delta& method, const Options& options) {
  if constexpr (std::is_same_v<Family, best_family>)
    da::delta_attention(exec, q, k, v, out, mask, method, options);
  else
    da::kernel::delta_attention<Family>(exec, q, k, v, out, mask, method, options);
}

inline da::delta library_delta(const oracle::delta_parameters& m) {
  const da::correction corrections[] = {da::correction::none, da::correction::recompute,
                                        da::correction::delta};
  return {.stride = m.stride,
          .correction = corrections[static_cast<int>(m.correction)],
          .average = m.average,
          .tail = m.tail};
}

inline std::string describe(const oracle::delta_parameters& m) {
  std::ostringstream text;
  const char* const names[] = {"none", "recompute", "delta"};
  text << " stride " << m.stride << " correction " << names[static_cast<int>(m.correction)]
       << " average " << m.average;
  if (m.tail) text << " tail " << *m.tail;
  return text.str();
}

template <class Family, class Exec, class Element, class Mask>
results run_delta(problem<Exec, Element>& p, const Mask& mask,
                  const oracle::delta_parameters& method) {
  return run(p, [&](const auto& options) {
    call_delta<Family>(p.exec, p.q_buffer.view(), p.k_buffer.view(), p.v_buffer.view(),
                       p.out_buffer.view(), mask, library_delta(method), options);
  });
}

template <class Family, class Exec, class Element, class Mask>
verdict delta_verdict(problem<Exec, Element>& p, const mask_case<Mask>& m,
                      const oracle::delta_parameters& method) {
  p.poison_unread(oracle::delta_reads(m.allows, p.options, method, p.sizes.queries, p.sizes.keys));
  return [&p, allows = m.allows, method, got = run_delta<Family>(p, m.mask, method)] {
    return judge<Family>(got, p, [&](const auto& q, const auto& k, const auto& v, const auto& o) {
      return oracle::delta(q, k, v, allows, method, o);
    });
  };
}

template <class Setup, class Mask>
void check_delta(problem_of<Setup>& p, const mask_case<Mask>& m,
                 const oracle::delta_parameters& method) {
  const std::string error = delta_verdict<typename Setup::family>(p, m, method)();
  INFO(setup_name<Setup>() << ": " << m.name << ", " << describe(p.sizes) << describe(p.options)
                           << describe(method));
  INFO(error);
  CHECK(error.empty());
}

template <class Setup, class Mask>
void check_delta(const shape& s, const mask_case<Mask>& m, const oracle::delta_parameters& method,
                 const oracle::parameters& options = {}, layout where = layout::tokens_first,
                 unsigned seed = 1) {
  problem_of<Setup> p(s, options, seed, where);
  check_delta<Setup>(p, m, method);
}
