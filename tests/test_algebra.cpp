// Users' masks and nested | and &. Overlaps count once: the oracle asks a predicate, not a sum.
#include <catch2/catch_template_test_macros.hpp>

#include "call.hpp"
#include "shapes.hpp"

namespace {

/// For what takes many kernels: with accumulators as elements, and with elements to convert.
using some_setups = concatenated<setups_with<float>, setups_with<da::bfloat16>>;

const shape small{.batches = 2, .queries = 113, .keys = 203, .query_heads = 4, .kv_heads = 2};
const shape few{.batches = 2, .queries = 2, .keys = 333, .query_heads = 4, .kv_heads = 1};
const shape tall{.queries = 97, .keys = 41, .query_heads = 2, .kv_heads = 1};

// Rows in blocks, anywhere in a composition, make tiles that do not straddle them.
namespace row_blocks {
using namespace da::mask;
using lists = da::block_sparse<Kokkos::HostSpace>::bound;
using window = da::sink_window::bound;
static_assert(has_row_blocks<bound_union<window, lists>>());
static_assert(has_row_blocks<bound_hidden<bound_intersection<lists, window>>>());
static_assert(!has_row_blocks<bound_union<window, derived<da::causal>>>());
}  // namespace row_blocks

}  // namespace

TEMPLATE_LIST_TEST_CASE("algebra: a user's mask of batch, head, position and key",
                        "[attention][algebra]", every_setup) {
  for (const shape& s : {small, few, tall}) check_attention<TestType>(s, cases::user());
}

TEMPLATE_LIST_TEST_CASE("algebra: users' masks combined", "[attention][algebra]", some_setups) {
  using namespace cases;
  for (const shape& s : {small, few, tall}) {
    check_attention<TestType>(s, user() & causal());
    check_attention<TestType>(s, user(4) | sink_window(2, 30));
  }
}

TEMPLATE_LIST_TEST_CASE("algebra: lists | rule, and causal", "[attention][algebra]", some_setups) {
  using namespace cases;
  for (const shape& s : {small, few, tall}) {
    problem_of<TestType> p(s);
    const auto lists = blocks(p.exec, s, p.offset(), {.query_block = 32, .key_block = 16});
    check_attention<TestType>(p, (lists | sink_window(10, 40)) & causal());
  }
}

TEMPLATE_LIST_TEST_CASE("algebra: full and partly visible blocks", "[attention][algebra]",
                        some_setups) {
  using namespace cases;
  for (const shape& s : {small, few, tall}) {
    problem_of<TestType> p(s);
    const auto whole = blocks(p.exec, s, p.offset(), {.visible = 0.2, .seed = 3});
    const auto part = blocks(p.exec, s, p.offset(), {.visible = 0.3, .seed = 4});
    check_attention<TestType>(p, whole | (part & user(1)));
  }
}

TEMPLATE_LIST_TEST_CASE("algebra: overlaps count once, contradictions see nothing",
                        "[attention][algebra]", some_setups) {
  using namespace cases;
  for (const shape& s : {small, few, tall}) {
    check_attention<TestType>(s, sink_window(9, 40) | sink_window(20, 10, 16));
    check_attention<TestType>(s, sink_window(0, 1) & sink_window(3, 0));
  }
}

TEMPLATE_LIST_TEST_CASE("algebra: deep nesting", "[attention][algebra]", setups_with<float>) {
  using namespace cases;
  for (const shape& s : {small, few, tall})
    check_attention<TestType>(
        s, ((sink_window(4, 0) | (user(1) & user(2))) & (full() | causal())) | sink_window(0, 3));
}
