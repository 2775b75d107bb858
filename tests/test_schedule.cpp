// The items of a schedule: every tile once, in the order that is promised.
#include <catch2/catch_test_macros.hpp>
#include <delta_attention/kernel/schedule.hpp>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using delta_attention::kernel::problem;
using delta_attention::kernel::schedule;
using delta_attention::kernel::work_item;

constexpr int tile_rows = 6, tile_keys = 8;

schedule plan(int batches, int query_heads, int kv_heads, int queries, int keys, int splits,
              bool in_turn) {
  problem<float> p{};
  p.q.batches = p.k.batches = batches;
  p.q.heads = query_heads;
  p.k.heads = kv_heads;
  p.q.tokens = queries;
  p.k.tokens = keys;
  schedule s(p, {0, 1, queries}, false, tile_rows);
  s.heads_in_turn = in_turn;
  s.split(splits, tile_keys);
  return s;
}

}  // namespace

TEST_CASE("schedule: every row and key of every head once", "[schedule]") {
  for (const bool in_turn : {false, true})
    for (const int splits : {1, 3}) {
      constexpr int batches = 2, query_heads = 6, kv_heads = 3, queries = 11, keys = 29;
      const schedule s = plan(batches, query_heads, kv_heads, queries, keys, splits, in_turn);
      std::map<std::tuple<int, int, int, int>, int> pairs;  // batch, head, token, key
      for (std::int64_t i = 0; i < s.items(); ++i) {
        const work_item w = s.item(i);
        for (int r = 0; r < w.rows.count; ++r)
          for (std::int64_t key = w.keys.begin; key < w.keys.end; ++key)
            ++pairs[{w.rows.batch, w.rows.head(r), int(w.rows.token(r)), int(key)}];
      }
      INFO("heads in turn " << in_turn << ", splits " << splits);
      CHECK(pairs.size() == std::size_t(batches * query_heads * queries * keys));
      bool once = true;
      for (const auto& [pair, times] : pairs) once = once && times == 1;
      CHECK(once);
    }
}

TEST_CASE("schedule: tiles from the last to the first, side by side by head or by tile",
          "[schedule]") {
  const auto heads_and_tokens = [](const schedule& s) {
    std::vector<std::pair<int, std::int64_t>> order;
    for (std::int64_t i = 0; i < s.items(); ++i) {
      const work_item w = s.item(i);
      order.emplace_back(w.rows.first_head, w.rows.first_ordinal / tile_rows);
    }
    return order;
  };
  using order = std::vector<std::pair<int, std::int64_t>>;
  CHECK(heads_and_tokens(plan(1, 2, 2, 18, 8, 1, false)) ==
        order{{0, 2}, {1, 2}, {0, 1}, {1, 1}, {0, 0}, {1, 0}});
  CHECK(heads_and_tokens(plan(1, 2, 2, 18, 8, 1, true)) ==
        order{{0, 2}, {0, 1}, {0, 0}, {1, 2}, {1, 1}, {1, 0}});
}
