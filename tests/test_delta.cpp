// delta_attention against the oracle: corrections, strides, averages, tails, over several masks.
#include <catch2/catch_template_test_macros.hpp>

#include "call_delta.hpp"
#include "shapes.hpp"

namespace {

using oracle::correction;
using oracle::delta_parameters;

// Anchors need a first position that is a multiple of the stride: 16 divides these offsets.
const std::vector<shape> delta_shapes = {
    {.queries = 1, .keys = 1},
    {.queries = 63, .keys = 63},
    {.queries = 65, .keys = 65},
    {.queries = 203, .keys = 203},
    {.queries = 109, .keys = 205},
    {.queries = 97, .keys = 33},
    {.queries = 239, .keys = 239, .size = 80, .value_size = 16},
    {.batches = 2, .queries = 70, .keys = 86, .query_heads = 6, .kv_heads = 2, .size = 24},
    {.batches = 2, .queries = 81, .keys = 81, .query_heads = 7, .kv_heads = 1, .value_size = 96},
    {.queries = 0, .keys = 32},
    {.queries = 32, .keys = 0},
    {.queries = 1, .keys = 257, .query_heads = 8, .kv_heads = 2},
};

}  // namespace

TEMPLATE_LIST_TEST_CASE("delta: shapes", "[delta]", every_setup) {
  for (const shape& s : delta_shapes)
    for (const integer tail : {0, 5})
      check_delta<TestType>(s, cases::sink_window(4, 11), {.stride = 16, .tail = tail});
}

TEMPLATE_LIST_TEST_CASE("delta: corrections", "[delta]", every_setup) {
  const shape s{.batches = 2, .queries = 205, .keys = 237, .query_heads = 4, .kv_heads = 2};
  for (const correction c : {correction::none, correction::recompute, correction::delta})
    for (const integer stride : {1, 2, 16, 32}) {
      check_delta<TestType>(s, cases::sink_window(4, 11),
                            {.stride = stride, .correction = c, .tail = 0});
      check_delta<TestType>(s, cases::sink_window(4, 11), {.stride = stride, .correction = c});
    }
}

TEMPLATE_LIST_TEST_CASE("delta: averages", "[delta]", every_setup) {
  const shape s{.queries = 205, .keys = 237, .query_heads = 2, .kv_heads = 1};
  for (const integer average : {1, 2, 3, 7, 1000})
    check_delta<TestType>(s, cases::sink_window(4, 11),
                          {.stride = 16, .average = average, .tail = 7});
}

TEMPLATE_LIST_TEST_CASE("delta: tails", "[delta]", setups_with<float>) {
  const shape s{.queries = 269, .keys = 269, .query_heads = 2, .kv_heads = 1};
  using tail = std::optional<integer>;
  for (const tail t : {tail{}, tail{0}, tail{1}, tail{13}, tail{14}, tail{100}, tail{268},
                       tail{269}, tail{100000}})
    for (const integer stride : {16, 64, 200, 500})
      check_delta<TestType>(s, cases::sink_window(4, 11), {.stride = stride, .tail = t});
}

TEMPLATE_LIST_TEST_CASE("delta: options", "[delta]", setups_with<float>) {
  const shape s{.queries = 109, .keys = 141, .query_heads = 4, .kv_heads = 2};
  for (const auto& options : every_option(s))
    for (const correction c : {correction::none, correction::recompute, correction::delta})
      check_delta<TestType>(s, cases::sink_window(4, 11),
                            {.stride = 16, .correction = c, .average = 2, .tail = 9}, options);
}

TEMPLATE_LIST_TEST_CASE("delta: scores that rise by much from tile to tile", "[delta]",
                        every_setup) {
  for (const correction c : {correction::recompute, correction::delta})
    check_delta<TestType>({.queries = 430, .keys = 430}, cases::sink_window(4, 150),
                          {.stride = 16, .correction = c, .tail = 5}, {.scale = 3.0});
}

TEMPLATE_LIST_TEST_CASE("delta: query_offset", "[delta]", every_setup) {
  const shape s{.queries = 90, .keys = 200, .query_heads = 2, .kv_heads = 1};
  // Positions before the first key see nothing and are no anchors; there may be rows beyond the
  // last.
  for (const integer offset : {0, 16, 96, 112, 192, 208, 1600, -16, -64, -80, -96, -1600})
    for (const integer average : {1, 3})
      check_delta<TestType>(s, cases::sink_window(4, 11),
                            {.stride = 16, .average = average, .tail = 5},
                            {.query_offset = offset});
  // Nothing is corrected: any offset will do.
  for (const integer offset : {7, 110, -7}) {
    check_delta<TestType>(s, cases::sink_window(4, 11),
                          {.stride = 16, .correction = correction::none}, {.query_offset = offset});
    check_delta<TestType>(s, cases::sink_window(4, 11), {.stride = 16, .tail = 90},
                          {.query_offset = offset});
  }
}

TEMPLATE_LIST_TEST_CASE("delta: layouts in memory", "[delta]", setups_with<float>) {
  const shape s{.batches = 2, .queries = 77, .keys = 77, .query_heads = 4, .kv_heads = 2};
  for (const layout where : {layout::heads_first, layout::fused, layout::padded, layout::cache})
    check_delta<TestType>(s, cases::sink_window(4, 11), {.stride = 16, .tail = 9}, {}, where);
}
