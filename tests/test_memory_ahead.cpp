// What one row over many keys asks of memory: every line of the tokens that come, in memory's
// order.
#include <algorithm>
#include <catch2/catch_template_test_macros.hpp>
#include <cstdint>
#include <set>
#include <vector>

#include <delta_attention/arch/memory_ahead.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
namespace {

namespace arch = delta_attention::arch;
constexpr int tokens = 3, most_heads = 32;

/// What the runs of `heads` heads ask for beside the tokens that they read, in lines of the tensor.
template <class Element>
std::vector<std::int64_t> asked(std::int64_t token_stride, std::int64_t head_stride, int size,
                                int heads) {
  using lines = arch::lines_ahead<Element, tokens, most_heads>;
  delta_attention::tensor<const Element> x{};
  x.token_stride = token_stride;
  x.head_stride = head_stride;
  static lines ahead;
  ahead.list(x, size, heads);
  std::vector<std::int64_t> at;
  for (int head = 0; head < heads; ++head) {
    auto ask = ahead.template asking<tokens>(head, true);
    for (int c = 0; c < size; c += lines::channels)
      for (int token = 0; token < tokens; ++token, ask.line += ask.next) at.push_back(*ask.line);
  }
  return at;
}

}  // namespace

TEMPLATE_TEST_CASE("memory ahead: each line of the tokens that come, in memory's order", "[memory]",
                   float, delta_attention::bfloat16) {
  for (const int size : {16, 40, 64, 256})
    for (const int heads : {1, 2, 8, 32})
      for (const bool heads_first : {false, true}) {
        // Side by side, with room behind each token, or each head with tokens of its own.
        const std::int64_t token_stride = heads_first ? size : (heads + 1) * size,
                           head_stride = heads_first ? 1000 * size : size;
        const auto at = asked<TestType>(token_stride, head_stride, size, heads);
        INFO(size << " channels, " << heads << " heads, heads first " << heads_first);
        CHECK(std::is_sorted(at.begin(), at.end()));
        const std::int64_t first = at.front();
        CHECK(first % token_stride == 0);
        CHECK(first >= tokens * token_stride);  // not beside their own use
        std::set<std::int64_t> all;
        for (int token = 0; token < tokens; ++token)
          for (int head = 0; head < heads; ++head)
            for (int c = 0; c < size; c += 64 / int(sizeof(TestType)))
              all.insert(first + token * token_stride + head * head_stride + c);
        CHECK(std::set<std::int64_t>(at.begin(), at.end()) == all);
      }
}
#endif
