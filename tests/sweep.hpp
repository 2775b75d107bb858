// One random problem: a seed decides everything about it, so that a seed replays it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "call_delta.hpp"

namespace sweep {

using exec_space = Kokkos::DefaultExecutionSpace;

/// The list of masks, and which of them each setup is compiled for: all of them for float as users
/// call it (but see float_masks), some for the others (tests/test_algebra.cpp and its like have the
/// rest). On a GPU, whose kernels take long to compile and whose best families are for 16 bits,
/// most are bfloat16's.
enum mask_kind : int {
  full,
  causal,
  window,
  blocks,
  user,
  two_windows,
  user_and_causal,
  lists_or_window_and_causal,
  full_and_partial_blocks,
  nested,
};

template <mask_kind... Kinds> struct mask_kinds {
  static inline const std::vector<mask_kind> all{Kinds...};
};
using every_mask = mask_kinds<full, causal, window, blocks, user, two_windows, user_and_causal,
                              lists_or_window_and_causal, full_and_partial_blocks, nested>;
/// Those that float's best family is compiled for. Under sanitizers another stands for the rest.
#ifdef DELTA_ATTENTION_TEST_FEWER_KERNELS
using float_masks = mask_kinds<full, causal, window, blocks, user, lists_or_window_and_causal>;
#else
using float_masks = every_mask;
#endif

struct setup_kind {
  const char* name;
  std::vector<mask_kind> masks;
};
enum setup_index : int {
  float_best,
  float_scalar,
  bfloat16_best,
  bfloat16_second,
  float16_best,
  double_best
};

inline const std::vector<setup_kind>& setups() {
  static const std::vector<setup_kind> host = {
      {"float best", every_mask::all},
      {"float scalar", {causal, window, lists_or_window_and_causal}},
      {"bfloat16 best", {causal, window, blocks, lists_or_window_and_causal}},
      {"bfloat16 second", {causal, window, lists_or_window_and_causal}},
      {"float16 best", {window, user_and_causal}},
      {"double best", {window, blocks}},
  };
  static const std::vector<setup_kind> device = {
      {"float best", {full, user, nested}},
      {"float scalar", {full, user, nested}},
      {"bfloat16 best", {causal, window, blocks, lists_or_window_and_causal}},
      {"bfloat16 second", {causal, window, lists_or_window_and_causal}},
      {"float16 best", {window}},
      {"double best", {window}},
  };
  return on_host<exec_space> ? host : device;
}

struct dice {
  std::mt19937_64 engine;
  explicit dice(std::uint64_t seed) : engine(seed) {}
  /// From a to b, both included.
  integer uniform(integer a, integer b) {
    return std::uniform_int_distribution<integer>(a, b)(engine);
  }
  /// Small numbers as likely as large ones.
  integer skewed(integer a, integer b) {
    const double x = std::uniform_real_distribution<double>(
        std::log(static_cast<double>(a)), std::log(static_cast<double>(b) + 1))(engine);
    return std::min(b, static_cast<integer>(std::exp(x)));
  }
  bool chance(double p) { return std::bernoulli_distribution(p)(engine); }
  template <class T> T one_of(std::initializer_list<T> list) {
    return *std::next(list.begin(), uniform(0, static_cast<integer>(list.size()) - 1));
  }
};

struct drawn {
  std::uint64_t seed = 0;
  int setup = 0;
  mask_kind mask = full;
  shape sizes;
  oracle::parameters options;
  std::optional<oracle::delta_parameters> method;
  layout where = layout::tokens_first;
  std::string mask_name;  // filled in by the run
};

inline integer draw_tokens(dice& d, integer most) {
  if (d.chance(0.02)) return 0;
  return d.chance(0.3) ? d.one_of<integer>({1, 15, 16, 17, 63, 64, 65, 127, 128, 129})
                       : d.skewed(1, most);
}

inline drawn draw(std::uint64_t seed) {
  dice d(seed);
  drawn x;
  x.seed = seed;
  // GPUs have their best families for 16 bits.
  x.setup = on_host<exec_space>
                ? d.one_of({float_best, float_best, float_best, float_scalar, bfloat16_best,
                            bfloat16_second, float16_best, double_best})
                : d.one_of({float_best, float_scalar, bfloat16_best, bfloat16_best, bfloat16_best,
                            bfloat16_second, bfloat16_second, float16_best, double_best});
  const auto& masks = setups()[static_cast<std::size_t>(x.setup)].masks;
  x.mask = masks[static_cast<std::size_t>(d.uniform(0, static_cast<integer>(masks.size()) - 1))];
  const auto& compiled = float_masks::all;
  if (x.setup == float_best &&
      std::find(compiled.begin(), compiled.end(), x.mask) == compiled.end())
    x.mask = lists_or_window_and_causal;
  shape& s = x.sizes;
  s.batches = d.one_of<integer>({1, 1, 1, 2, 3});
  s.kv_heads = d.one_of<integer>({1, 1, 2, 3, 8});
  s.query_heads = s.kv_heads * d.one_of<integer>({1, 1, 2, 3, 4, 7, 8});
  s.size = d.chance(0.5) ? 8 * d.uniform(2, 6) : 8 * d.uniform(2, 32);
  if (d.chance(0.3)) s.size = d.one_of<integer>({64, 128});
  s.value_size = d.chance(0.5) ? s.size : 8 * d.uniform(2, 32);
  s.queries = draw_tokens(d, 500);
  s.keys = d.chance(0.3) ? s.queries : draw_tokens(d, 800);
  while (s.batches * s.query_heads * s.queries * s.keys * (s.size + s.value_size) > 100'000'000) {
    s.queries -= s.queries / 4;
    s.keys -= s.keys / 8;
    s.batches = 1;
  }
  if (d.chance(0.3)) x.options.scale = d.one_of({0.01, 0.2, 0.5, -0.3, 1.0});
  if (d.chance(0.2)) x.options.softcap = d.one_of({0.5, 3.0, 30.0});
  if (d.chance(0.3)) x.options.query_offset = d.uniform(-s.queries - 5, s.keys + 40);
  if (d.chance(0.3))
    for (integer h = 0; h < s.query_heads; ++h)
      x.options.sink_logits.push_back(static_cast<float>(d.uniform(-40, 40)) / 8);
  x.where = d.one_of({layout::tokens_first, layout::heads_first, layout::fused, layout::padded});
  if (d.chance(0.6)) {
    oracle::delta_parameters m;
    m.stride = d.one_of<integer>({1, 2, 3, 7, 16, 16, 17, 32, 64, 100});
    m.correction =
        d.one_of({oracle::correction::none, oracle::correction::recompute,
                  oracle::correction::delta, oracle::correction::delta, oracle::correction::delta});
    m.average = d.one_of<integer>({1, 1, 2, 3, 16});
    if (d.chance(0.8)) m.tail = d.one_of<integer>({0, 0, 1, 5, 40, 1000});
    // A chunk starts at an anchor.
    const integer offset = oracle::offset_of(x.options, s.queries, s.keys);
    if (offset % m.stride != 0)
      x.options.query_offset = oracle::floor_divide(offset, m.stride) * m.stride;
    x.method = m;
  }
  return x;
}

inline std::string describe(const drawn& x) {
  const char* const layouts[] = {"tokens first", "heads first", "fused", "padded"};
  return std::string(setups()[static_cast<std::size_t>(x.setup)].name) + ", " + x.mask_name + ", " +
         ::describe(x.sizes) + ::describe(x.options) + (x.method ? ::describe(*x.method) : "") +
         ", " + layouts[static_cast<int>(x.where)];
}

inline auto draw_window(dice& d) {
  const integer align = d.one_of<integer>({1, 1, 1, 2, 7, 16, 64});
  const integer sinks = d.chance(0.3) ? 0 : d.skewed(1, 100);
  return cases::sink_window(sinks, d.chance(0.1) ? 0 : d.skewed(1, 200), align);
}

template <class Problem> auto draw_blocks(dice& d, const Problem& p) {
  return cases::blocks(p.exec, p.sizes, p.offset(),
                       {.query_block = 16 * d.skewed(1, 8),
                        .key_block = 16 * d.skewed(1, 8),
                        .per_batch = d.chance(0.5),
                        .per_head = d.chance(0.5),
                        .from_csr = d.chance(0.5),
                        .visible = d.one_of({0.1, 0.4, 0.8}),
                        .seed = static_cast<unsigned>(d.engine())});
}

template <class Setup, class Mask>
verdict start(problem_of<Setup>& p, const mask_case<Mask>& m, drawn& x) {
  x.mask_name = m.name;
  using family = typename Setup::family;
  return x.method ? delta_verdict<family>(p, m, *x.method) : attention_verdict<family>(p, m);
}

/// Runs a problem whose setup this is.
template <class Setup, mask_kind... Kinds> verdict run(drawn& x) {
  const auto kept = std::make_shared<problem_of<Setup>>(x.sizes, x.options,
                                                        static_cast<unsigned>(x.seed), x.where);
  problem_of<Setup>& p = *kept;
  dice d(x.seed ^ 0x9e3779b97f4a7c15u);
  const auto with = [&](auto kind) {
    constexpr mask_kind k = kind();
    using namespace cases;
    if constexpr (k == sweep::full) return start<Setup>(p, cases::full(), x);
    if constexpr (k == sweep::causal) return start<Setup>(p, cases::causal(), x);
    if constexpr (k == sweep::window) return start<Setup>(p, draw_window(d), x);
    if constexpr (k == sweep::blocks) return start<Setup>(p, draw_blocks(d, p), x);
    if constexpr (k == sweep::user) return start<Setup>(p, cases::user(d.uniform(0, 10)), x);
    if constexpr (k == two_windows) {
      const auto a = draw_window(d), b = draw_window(d);
      return start<Setup>(p, a | b, x);
    }
    if constexpr (k == user_and_causal)
      return start<Setup>(p, cases::user(d.uniform(0, 10)) & cases::causal(), x);
    if constexpr (k == lists_or_window_and_causal) {
      const auto a = draw_blocks(d, p);
      return start<Setup>(p, (a | draw_window(d)) & cases::causal(), x);
    }
    if constexpr (k == full_and_partial_blocks) {
      const auto a = draw_blocks(d, p), b = draw_blocks(d, p);
      return start<Setup>(p, a | (b & cases::user(d.uniform(0, 10))), x);
    }
    if constexpr (k == nested) {
      const auto a = draw_window(d), b = draw_window(d);
      return start<Setup>(
          p, ((a | cases::user(1)) & (b | cases::user(d.uniform(2, 9)))) | draw_window(d), x);
    }
  };
  verdict result = [] { return std::string("no such mask in this setup"); };
  ((x.mask == Kinds ? void(result = with(std::integral_constant<mask_kind, Kinds>{})) : void()),
   ...);
  return [kept, result] { return result(); };
}

template <class Setup, mask_kind... Kinds> verdict run(drawn& x, mask_kinds<Kinds...>) {
  return run<Setup, Kinds...>(x);
}

// In test_sweep/*.cpp.
verdict run_float_best(drawn& x);
verdict run_float_scalar(drawn& x);
verdict run_bfloat16_best(drawn& x);
verdict run_bfloat16_second(drawn& x);
verdict run_float16_best(drawn& x);
verdict run_double_best(drawn& x);

}  // namespace sweep
