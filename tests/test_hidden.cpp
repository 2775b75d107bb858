// What a row does not see must not reach it, whatever it is: later keys and values of a tile that
// other rows see, and memory that nobody reads.
#include <catch2/catch_template_test_macros.hpp>
#include <cmath>

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
