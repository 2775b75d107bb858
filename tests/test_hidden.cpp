// What a row does not see must not reach it: later keys and values of a tile that other rows see,
// as long as they are finite, and what nobody sees, whatever it is.
#include <catch2/catch_template_test_macros.hpp>
#include <cmath>
#include <limits>

#include "call_delta.hpp"

namespace {

// Of both there are values near float's largest.
using hidden_setups = concatenated<setups_with<float>, setups_with<da::bfloat16>>;

const shape sizes{.queries = 150, .keys = 150, .query_heads = 2, .kv_heads = 1};

// The rows before `cut` with every later key and value replaced.
template <class Setup>
oracle::tensor<double> early_rows(double replacement, integer cut, bool delta) {
  problem_of<Setup> p(sizes);
  for (integer j = cut; j < sizes.keys; ++j) {
    for (integer e = 0; e < sizes.size; ++e) p.k(0, j, 0, e) = e % 2 == 0 ? 1 : -1;
    for (integer e = 0; e < sizes.value_size; ++e) p.v(0, j, 0, e) = replacement;
  }
  const auto result =
      delta ? run_delta<typename Setup::family>(p, da::sink_window{.sinks = 3, .window = 20},
                                                {.stride = 16, .tail = 9})
            : run_attention<typename Setup::family>(p, da::causal{});
  oracle::tensor<double> rows(1, cut, sizes.query_heads, sizes.value_size);
  std::copy_n(result.out.values.begin(), rows.values.size(), rows.values.begin());
  return rows;
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("hidden: large values of later keys change nothing, to the last bit",
                        "[hidden]", hidden_setups) {
  for (const integer cut : {37, 64, 131})
    for (const bool delta : {false, true}) {
      CAPTURE(setup_name<TestType>(), cut, delta);
      CHECK(compare_exactly(early_rows<TestType>(1e24, cut, delta),
                            early_rows<TestType>(0, cut, delta)) == "");
    }
}

// Finite, so that a weight of 0 is enough, but then it must be 0.
TEMPLATE_LIST_TEST_CASE("hidden: the largest values of later keys change nothing", "[hidden]",
                        hidden_setups) {
  for (const integer cut : {37, 64, 131})
    for (const bool delta : {false, true}) {
      CAPTURE(setup_name<TestType>(), cut, delta);
      CHECK(compare_exactly(early_rows<TestType>(3e38, cut, delta),
                            early_rows<TestType>(0, cut, delta)) == "");
    }
}

/// Nobody sees every other key, wherever else rows begin and end.
struct even_keys : da::mask_base {
  KOKKOS_FUNCTION bool allows(int, int, std::int64_t, std::int64_t key) const {
    return key % 2 == 0;
  }
};

// Keys and values that no row sees: in tiles that others fill, in whole tiles between those that
// are seen, and all of them; NaN is what every other test has there. (Beyond the last key and the
// last channel, where layouts leave room, there is NaN.)
TEMPLATE_LIST_TEST_CASE("hidden: infinities that no row sees change nothing", "[hidden]",
                        hidden_setups) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const shape rows{
      .queries = 60, .keys = 700, .query_heads = 4, .kv_heads = 2, .size = 40, .value_size = 24};
  for (const double poison : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN()})
    for (const integer queries : {60, 2}) {
      CAPTURE(poison, queries);
      const auto make = [&](const oracle::parameters& options = {}) {
        shape s = rows;
        s.queries = queries;
        problem_of<TestType> p(s, options, 1, layout::cache);
        p.poison = poison;
        return p;
      };
      {  // a gap of several tiles, whose ends lie within tiles
        auto p = make();
        check_attention<TestType>(p, cases::sink_window(5, 33));
      }
      {  // the end of the last tile that is seen, and the tiles after it
        auto p = make({.query_offset = 190, .sink_logits = {1.0f, 2.0f, -3.0f, 0.0f}});
        check_attention<TestType>(p, cases::causal());
      }
      {  // rows that see nothing, and others
        auto p = make({.query_offset = -1});
        check_attention<TestType>(p, cases::causal());
      }
      {
        auto p = make();
        check_attention<TestType>(
            p, cases::blocks(p.exec, p.sizes, p.offset(), {.key_block = 48, .visible = 0.1}));
      }
      {  // keys between those that are seen
        auto p = make();
        check_attention<TestType>(
            p, mask_case<even_keys>{
                   {}, [](int, int, integer, integer j) { return j % 2 == 0; }, "even keys"});
      }
      {  // nobody sees anything
        auto p = make();
        check_attention<TestType>(p, cases::sink_window(0, 0));
      }
      {
        auto p = make({.query_offset = 320});
        check_delta<TestType>(p, cases::sink_window(5, 33), {.stride = 16, .tail = 0});
      }
    }
}
