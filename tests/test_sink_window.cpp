// sink_window over every execution space, element type and instruction family.
#include <catch2/catch_template_test_macros.hpp>

#include "call.hpp"
#include "shapes.hpp"

TEMPLATE_LIST_TEST_CASE("sink_window: tokens, heads and sizes", "[attention][sink_window]",
                        every_setup) {
  for (const auto* shapes : {&token_shapes, &head_shapes, &size_shapes, &empty_shapes})
    for (const shape& s : *shapes) check_attention<TestType>(s, cases::sink_window(5, 20));
}

TEMPLATE_LIST_TEST_CASE("sink_window: sinks, windows and align", "[attention][sink_window]",
                        every_setup) {
  const shape s{.queries = 213, .keys = 300, .query_heads = 2, .kv_heads = 1};
  for (const auto& [sinks, window, align] : std::vector<std::array<integer, 3>>{{0, 1, 1},
                                                                                {0, 64, 1},
                                                                                {1, 1, 1},
                                                                                {64, 0, 1},
                                                                                {0, 0, 1},
                                                                                {70, 33, 1},
                                                                                {4, 1000, 1},
                                                                                {1000, 4, 1},
                                                                                {3, 20, 16},
                                                                                {3, 100, 64},
                                                                                {0, 10, 16},
                                                                                {2, 5, 64},
                                                                                {16, 1, 16}})
    check_attention<TestType>(s, cases::sink_window(sinks, window, align));
}

TEMPLATE_LIST_TEST_CASE("sink_window: options and offsets", "[attention][sink_window]",
                        every_setup) {
  const shape s{.batches = 2, .queries = 90, .keys = 130, .query_heads = 4, .kv_heads = 2};
  for (const auto& options : every_option(s))
    check_attention<TestType>(s, cases::sink_window(3, 17), options);
  for (const integer offset : {0, 13, 100, 500, -20, -89})
    check_attention<TestType>(s, cases::sink_window(3, 17, 16), {.query_offset = offset});
}

TEMPLATE_LIST_TEST_CASE("sink_window: few rows over many keys", "[attention][sink_window]",
                        every_setup) {
  for (const integer queries : {1, 2, 5})
    check_attention<TestType>({.queries = queries, .keys = 1500, .query_heads = 4, .kv_heads = 1},
                              cases::sink_window(100, 600));
}
