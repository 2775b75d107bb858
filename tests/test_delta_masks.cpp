// delta_attention works over any mask: the sparse pass, the anchors' two states and what they hide.
#include <catch2/catch_template_test_macros.hpp>

#include "call_delta.hpp"

namespace {

using oracle::correction;
using oracle::delta_parameters;

const shape small{.batches = 2, .queries = 109, .keys = 157, .query_heads = 4, .kv_heads = 2};
const shape few{.queries = 2, .keys = 322, .query_heads = 4, .kv_heads = 1};

const std::vector<delta_parameters> methods = {
    {.stride = 16, .tail = 0},
    {.stride = 16, .average = 3, .tail = 20},
    {.stride = 16, .correction = correction::recompute, .tail = 3},
    {.stride = 16, .correction = correction::none},
};

template <class Setup, class Make> void check(const Make& make) {
  for (const shape& s : {small, few})
    for (const auto& method : methods) {
      problem_of<Setup> p(s);
      check_delta<Setup>(p, make(p), method);
    }
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("delta: over full and causal nothing is left to correct", "[delta]",
                        setups_with<float>) {
  check<TestType>([](const auto&) { return cases::full(); });
  check<TestType>([](const auto&) { return cases::causal(); });
}

TEMPLATE_LIST_TEST_CASE("delta: over an aligned window", "[delta]", setups_with<float>) {
  check<TestType>([](const auto&) { return cases::sink_window(3, 30, 16); });
  check<TestType>([](const auto&) { return cases::sink_window(0, 5, 16); });  // rows without keys
}

TEMPLATE_LIST_TEST_CASE("delta: over block lists", "[delta]", setups_with<float>) {
  check<TestType>([](const auto& p) {
    return cases::blocks(p.exec, p.sizes, p.offset(), {.query_block = 48, .key_block = 32});
  });
  check<TestType>([](const auto& p) {
    return cases::blocks(p.exec, p.sizes, p.offset(), {.per_batch = false, .per_head = false});
  });
}

using user_setups = concatenated<setups_with<float>, setups_with<da::float16>>;
TEMPLATE_LIST_TEST_CASE("delta: over a user's mask", "[delta]", user_setups) {
  check<TestType>([](const auto&) { return cases::user(); });
}

TEMPLATE_LIST_TEST_CASE("delta: over a composition", "[delta]", setups_with<da::bfloat16>) {
  check<TestType>([](const auto& p) {
    return (cases::blocks(p.exec, p.sizes, p.offset()) | cases::sink_window(5, 17)) &
           cases::user(3);
  });
}
