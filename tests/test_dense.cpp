// full and causal, over every execution space, element type and instruction family.
#include <catch2/catch_template_test_macros.hpp>

#include "call.hpp"
#include "shapes.hpp"

using dense_setups = concatenated<every_setup, scalar_conversions>;

TEMPLATE_LIST_TEST_CASE("dense: tokens, heads and sizes", "[attention][dense]", dense_setups) {
  for (const auto* shapes : {&token_shapes, &head_shapes, &size_shapes, &empty_shapes})
    for (const shape& s : *shapes) {
      check_attention<TestType>(s, cases::causal());
      check_attention<TestType>(s, cases::full());
    }
}

TEMPLATE_LIST_TEST_CASE("dense: options", "[attention][dense]", dense_setups) {
  for (const shape& s : {shape{.queries = 70, .keys = 110, .query_heads = 4, .kv_heads = 2},
                         shape{.queries = 1, .keys = 300, .query_heads = 4, .kv_heads = 1}})
    for (const auto& options : every_option(s)) {
      check_attention<TestType>(s, cases::causal(), options);
      check_attention<TestType>(s, cases::full(), options);
    }
}

TEMPLATE_LIST_TEST_CASE("dense: query_offset", "[attention][dense]", dense_setups) {
  const shape s{.batches = 2, .queries = 50, .keys = 90, .query_heads = 3, .kv_heads = 1};
  for (const integer offset : {0, 1, 17, 40, 89, 1000, -1, -30, -50, -1000}) {
    // Before the first key rows see nothing; sink logits do not change that.
    check_attention<TestType>(s, cases::causal(),
                              {.query_offset = offset, .sink_logits = {1.0f, -3.0f, 90.0f}});
    check_attention<TestType>(s, cases::causal(), {.query_offset = offset});
  }
}

TEMPLATE_LIST_TEST_CASE("dense: layouts in memory", "[attention][dense]", dense_setups) {
  const shape s{.batches = 2,
                .queries = 66,
                .keys = 77,
                .query_heads = 6,
                .kv_heads = 3,
                .size = 40,
                .value_size = 48};
  for (const layout where : {layout::heads_first, layout::fused, layout::padded, layout::cache}) {
    check_attention<TestType>(s, cases::causal(), {}, where);
    check_attention<TestType>({.batches = 2,
                               .queries = 2,
                               .keys = 277,
                               .query_heads = 9,
                               .kv_heads = 3,
                               .size = 40,
                               .value_size = 48},
                              cases::causal(), {}, where);
  }
}

TEMPLATE_LIST_TEST_CASE("dense: a sink logit from very small to very large", "[attention][dense]",
                        dense_setups) {
  const shape s{.queries = 20, .keys = 40, .query_heads = 6, .kv_heads = 6};
  constexpr float infinity = std::numeric_limits<float>::infinity();
  check_attention<TestType>(s, cases::causal(),
                            {.sink_logits = {-infinity, -1000.0f, -1.0f, 0.0f, 10.0f, 80.0f}});
}

TEMPLATE_LIST_TEST_CASE("dense: a softcap far beyond the scores changes little",
                        "[attention][dense]", dense_setups) {
  // c tanh(s / c) must not lose the digits of a small s / c.
  const shape s{.queries = 70, .keys = 140};
  for (const double softcap : {100.0, 1000.0, 1e5})
    check_attention<TestType>(s, cases::causal(), {.softcap = softcap});
}

TEMPLATE_LIST_TEST_CASE("dense: scores from very small to very large", "[attention][dense]",
                        dense_setups) {
  // Keys enough for several tiles: from one to the next, maxima rise by more than 2^x can take.
  const shape s{.queries = 70, .keys = 700};
  for (const double scale : {0.0, 1e-6, 3.0, 20.0})
    check_attention<TestType>(s, cases::causal(), {.scale = scale});
}

TEMPLATE_LIST_TEST_CASE("dense: negative scores that rise or fall from tile to tile",
                        "[attention][dense]", dense_setups) {
  for (const shape& s : {shape{.queries = 70, .keys = 700},
                         shape{.queries = 1, .keys = 700, .query_heads = 32, .kv_heads = 8}})
    // Of the first channel's part of a score, to the base 2: from -82 on by some 8, 1 or -8 a tile.
    for (const double step : {4.0, 0.5, -4.0}) {
      problem_of<TestType> p(s);
      for (integer h = 0; h < s.query_heads; ++h)
        for (integer i = 0; i < s.queries; ++i) p.q(0, i, h, 0) = 8;
      for (integer h = 0; h < s.kv_heads; ++h)
        for (integer j = 0; j < s.keys; ++j)
          p.k(0, j, h, 0) = -40 + step * static_cast<double>(j / 128);
      INFO("step " << step);
      check_attention<TestType>(p, cases::full());
      p.options.softcap = 60;
      check_attention<TestType>(p, cases::causal());
    }
}
