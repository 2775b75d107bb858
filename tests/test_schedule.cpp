// The items of a schedule: every tile once, in the order that is promised.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstdint>
#include <delta_attention/kernel/attention.hpp>
#include <delta_attention/kernel/epilogue.hpp>
#include <delta_attention/kernel/schedule.hpp>
#include <map>
#include <set>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace {

using delta_attention::kernel::dealt_items;
using delta_attention::kernel::divisor;
using delta_attention::kernel::key_parts;
using delta_attention::kernel::problem;
using delta_attention::kernel::schedule;
using delta_attention::kernel::store_state;
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

struct threads {
  int count;
  int concurrency() const { return count; }
};
struct atom {
  static constexpr int tile_rows = 32, tile_keys = 64;
  static constexpr bool several_kv_heads = true;
  static std::int64_t wanted_items(const threads& t) { return 4 * t.count; }
};
struct one_head : atom {
  static constexpr bool several_kv_heads = false;
};

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

TEST_CASE("schedule: few rows' kv heads share a tile while every thread has one", "[schedule]") {
  delta_attention::kernel::problem<float> p{};
  p.q.batches = p.k.batches = 1;
  p.q.heads = 32;
  p.k.heads = 8;
  p.q.tokens = 1;
  const auto plan_of = [&]<class Atom>(std::type_identity<Atom>, int count) {
    return delta_attention::kernel::stream_schedule<Atom>(threads{count}, p, false, {0, 1, 1});
  };
  for (const int keys : {64, 512, 4096, 65536})
    for (const int count : {1, 2, 16, 64, 128, 1000}) {
      p.k.tokens = keys;
      const std::int64_t apart = plan_of(std::type_identity<one_head>{}, count).items();
      INFO(keys << " keys, " << count << " threads, " << apart << " items of a head each");
      CHECK(plan_of(std::type_identity<atom>{}, count).items() >=
            std::min<std::int64_t>(apart, count));
    }
  CHECK(plan_of(std::type_identity<atom>{}, 64).heads_outer == 1);
  CHECK(plan_of(std::type_identity<atom>{}, 128).heads_outer == 2);
}

TEST_CASE("schedule: dealt to threads, every item once, and what is long early", "[schedule]") {
  for (const int threads : {1, 2, 3, 7, 64})
    for (const int queries : {1, 5, 29, 64})
      for (const int splits : {1, 3}) {
        const schedule s = plan(2, 6, 3, queries, 24, splits, false);
        const dealt_items dealt(s, threads);
        INFO(threads << " threads, " << queries << " queries, " << splits << " splits");
        std::set<std::int64_t> items;
        std::int64_t begin = 0;  // of the items that threads come to at a time
        for (int i = 0; i < dealt.league() / threads; ++i) {
          std::int64_t end = begin;
          for (int thread = 0; thread < threads; ++thread) {
            const std::int64_t item = dealt.item(thread * (dealt.league() / threads) + i);
            items.insert(item);
            CHECK(item >= begin);
            end = std::max(end, item + 1);
          }
          if ((i + 1) % dealt.together == 0) begin = end;
        }
        CHECK(std::int64_t(items.size()) == dealt.league());
        CHECK(*items.rbegin() == dealt.league() - 1);
        CHECK(dealt.league() >= s.items());
        CHECK(dealt.league() < s.items() + threads * dealt.together);
        // All begin with the first tiles, where there are as many.
        if (s.tiles * splits >= threads)
          CHECK(dealt.item((threads - 1) * (dealt.league() / threads)) ==
                (threads - 1) * s.heads_outer * s.batches);
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

TEST_CASE("schedule: one place for each state of a row, none for what it cannot see",
          "[schedule]") {
  for (const int rows : {0, 1, 2, 7, 33})
    for (const int step : {1, 3, 64})
      for (const int first : {0, 5, 1000})  // position
        for (const int keys : {8, 64, 640})
          for (const int count : {1, 2, 9}) {
            key_parts parts(rows);
            parts.count = count;
            parts.end_with_rows((first + step - 1) / step, step, keys);
            INFO(rows << " rows from " << first << " by " << step << ", " << count << " parts of "
                      << keys);
            std::vector<int> taken(std::size_t(parts.states()));
            bool sees_all = true, sees_little = true;
            for (int row = 0; row < rows; ++row) {
              for (int s = 0; s < parts.of(row); ++s) ++taken.at(std::size_t(parts.place(s, row)));
              // The row's last part begins before it (the rows' steps and the parts' do not fit),
              if (keys >= step)
                sees_little = sees_little &&
                              (parts.of(row) - 1) * (keys / step) * step < first + (row + 1) * step;
              // and the next one, if there is one, after it.
              sees_all =
                  sees_all && (parts.of(row) == count || first + row * step < parts.of(row) * keys);
            }
            CHECK(sees_all);
            CHECK(sees_little);
            CHECK(std::count(taken.begin(), taken.end(), 1) == std::ptrdiff_t(taken.size()));
          }
}

TEST_CASE("schedule: items whose rows have no states are known", "[schedule]") {
  delta_attention::kernel::problem<float> p{};
  p.q.batches = p.k.batches = 1;
  p.q.heads = p.k.heads = 1;
  p.q.tokens = p.k.tokens = 128;
  schedule s(p, {0, 4, 32}, false, tile_rows);  // rows at 0, 4, ... 124
  s.split(4, tile_keys, true);                  // parts of 32 keys
  REQUIRE(s.parts.count == 4);
  const store_state<float> states{{}, {}, s.parts};
  int with_states = 0;
  for (std::int64_t i = 0; i < s.items(); ++i) {
    const work_item w = s.item(i);
    const bool sees = w.rows.position(w.rows.count - 1) >= w.keys.begin;
    CHECK(states.wants(w.rows, w.split) == sees);
    with_states += sees;
  }
  CHECK(with_states < s.items());
}

TEST_CASE("schedule: quotients by multiplication", "[schedule]") {
  for (int d : {1, 2, 3, 5, 7, 12, 96, 127, 128, 4095, 65537, (1 << 20) - 1}) {
    CAPTURE(d);
    bool same = true;
    const divisor by(d);
    for (int n = 0; n < 1 << 20; n += n < 5000 ? 1 : 97) same = same && n / by == n / d;
    for (int n = d - 1; n < 1 << 20; n += d) same = same && n / by == n / d && n % by == n % d;
    CHECK(same);
  }
}
