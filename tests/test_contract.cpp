// Broken contracts, one row a kind: each throws contract_error whose what() has the offending
// values, before a kernel runs and before anything is written.
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "contract.hpp"

namespace {

using namespace contracts;

std::vector<contract> shapes() {
  return {
      {"k has other batches",
       {"k", "3", "2"},
       [](f& c) { c.k = c.at(1, {3, f::keys, f::kv_heads, f::d}), c.attention(); }},
      {"v has other batches",
       {"v", "1", "2"},
       [](f& c) { c.v = c.at(2, {1, f::keys, f::kv_heads, f::dv}), c.attention(); }},
      {"out has other batches",
       {"out", "1", "2"},
       [](f& c) { c.out = c.at(3, {1, f::queries, f::heads, f::dv}), c.attention(); }},
      {"out has other tokens",
       {"out", "19", "20"},
       [](f& c) { c.out = c.at(3, {2, 19, f::heads, f::dv}), c.attention(); }},
      {"v has other tokens than k",
       {"v", "31", "30"},
       [](f& c) { c.v = c.at(2, {2, 31, f::kv_heads, f::dv}), c.attention(); }},
      {"out has other heads",
       {"out", "3", "4"},
       [](f& c) { c.out = c.at(3, {2, f::queries, 3, f::dv}), c.attention(); }},
      {"v has other kv heads than k",
       {"v", "4", "2"},
       [](f& c) { c.v = c.at(2, {2, f::keys, 4, f::dv}), c.attention(); }},
      {"k has another head size",
       {"k", "40", "32"},
       [](f& c) { c.k = c.at(1, {2, f::keys, f::kv_heads, 40}), c.attention(); }},
      {"out has another value size",
       {"out", "32", "24"},
       [](f& c) { c.out = c.at(3, {2, f::queries, f::heads, 32}), c.attention(); }},
      {"kv heads do not divide",
       {"3 kv heads", "4 heads"},
       [](f& c) {
         c.k = c.at(1, {2, f::keys, 3, f::d}), c.v = c.at(2, {2, f::keys, 3, f::dv});
         c.attention();
       }},
      {"more kv heads than heads",
       {"8 kv heads", "4 heads"},
       [](f& c) {
         c.k = c.at(1, {2, f::keys, 8, f::d}), c.v = c.at(2, {2, f::keys, 8, f::dv});
         c.attention();
       }},
      {"more heads a kv head than can be divided by",
       {"1000001 heads", "1 kv heads", "at most 1000000"},
       [](f& c) {
         c.q = c.at(0, {2, f::queries, 1'000'001, f::d});
         c.out = c.at(3, {2, f::queries, 1'000'001, f::dv});
         c.k = c.at(1, {2, f::keys, 1, f::d}), c.v = c.at(2, {2, f::keys, 1, f::dv});
         c.attention();
       }},
      {"no heads",
       {"q", "0 heads"},
       [](f& c) {
         c.q = c.at(0, {2, f::queries, 0, f::d}), c.out = c.at(3, {2, f::queries, 0, f::dv});
         c.lse = lse_at(c.data(4), 2, f::queries, 0), c.sink_logits = view1("no logits", 0);
         c.attention();
       }},
      {"no kv heads",
       {"k", "0 kv heads"},
       [](f& c) {
         c.k = c.at(1, {2, f::keys, 0, f::d}), c.v = c.at(2, {2, f::keys, 0, f::dv});
         c.attention();
       }},
      {"lse has other batches",
       {"lse", "1", "2"},
       [](f& c) { c.lse = lse_at(c.data(4), 1, f::queries, f::heads), c.attention(); }},
      {"lse has other tokens",
       {"lse", "21", "20"},
       [](f& c) { c.lse = lse_at(c.data(4), 2, 21, f::heads), c.attention(); }},
      {"lse has other heads",
       {"lse", "2", "4"},
       [](f& c) { c.lse = lse_at(c.data(4), 2, f::queries, 2), c.attention(); }},
      {"lse as (batch, head, token)",
       {"lse", "4, 20", "20, 4"},
       [](f& c) { c.lse = lse_at(c.data(4), 2, f::heads, f::queries), c.attention(); }},
      {"sink_logits for kv heads",
       {"sink_logits", "2", "4"},
       [](f& c) { c.sink_logits = view1("few", 2), c.attention(); }},
  };
}

std::vector<contract> sizes() {
  std::vector<contract> rows;
  for (const std::size_t d : {0, 8, 20, 36, 264}) {
    rows.push_back({"head size " + std::to_string(d), {"q", std::to_string(d)}, [d](f& c) {
                      c.q = c.at(0, {2, f::queries, f::heads, d});
                      c.k = c.at(1, {2, f::keys, f::kv_heads, d});
                      c.attention();
                    }});
    rows.push_back({"value size " + std::to_string(d), {"v", std::to_string(d)}, [d](f& c) {
                      c.v = c.at(2, {2, f::keys, f::kv_heads, d});
                      c.out = c.at(3, {2, f::queries, f::heads, d});
                      c.attention();
                    }});
  }
  return rows;
}

std::vector<contract> memory() {
  const auto strided = [](std::string name, view4 f::* tensor, std::size_t part) {
    return contract{name + " has strided channels", {name, "stride 2"}, [=](f& c) {
                      const view4& t = c.*tensor;
                      c.*tensor =
                          c.at(part, {t.extent(0), t.extent(1), t.extent(2), t.extent(3)}, 2);
                      c.attention();
                    }};
  };
  const auto null = [](std::string name, view4 f::* tensor) {
    return contract{name + " has no memory", {name, "null"}, [=](f& c) {
                      const view4& t = c.*tensor;
                      c.*tensor =
                          tensor_at(nullptr, {t.extent(0), t.extent(1), t.extent(2), t.extent(3)});
                      c.attention();
                    }};
  };
  const extents4 out{f::batches, f::queries, f::heads, f::dv};
  return {
      strided("q", &f::q, 0),
      strided("k", &f::k, 1),
      strided("v", &f::v, 2),
      strided("out", &f::out, 3),
      null("q", &f::q),
      null("k", &f::k),
      null("v", &f::v),
      null("out", &f::out),
      {"lse has no memory",
       {"lse", "null"},
       [](f& c) { c.lse = lse_at(nullptr, f::batches, f::queries, f::heads), c.attention(); }},
      {"out is q's memory",
       {"out", "q", "overlap"},
       [=](f& c) { c.out = tensor_at(c.data(0), out), c.attention(); }},
      {"out begins inside k",
       {"out", "k", "overlap"},
       [=](f& c) { c.out = tensor_at(c.data(1) + 100, out), c.attention(); }},
      {"out ends inside v",
       {"out", "v", "overlap"},
       [=](f& c) { c.out = tensor_at(c.data(2) - 100, out), c.attention(); }},
      {"lse overlaps q",
       {"lse", "q", "overlap"},
       [](f& c) { c.lse = lse_at(c.data(0) + 7, 2, f::queries, f::heads), c.attention(); }},
      {"lse overlaps k",
       {"lse", "k", "overlap"},
       [](f& c) { c.lse = lse_at(c.data(1), 2, f::queries, f::heads), c.attention(); }},
      {"lse overlaps v",
       {"lse", "v", "overlap"},
       [](f& c) { c.lse = lse_at(c.data(2), 2, f::queries, f::heads), c.attention(); }},
      {"lse overlaps out",
       {"lse", "out", "overlap"},
       [](f& c) { c.lse = lse_at(c.data(3) + 50, 2, f::queries, f::heads), c.attention(); }},
      {"out overlaps sink_logits",
       {"out", "sink_logits", "overlap"},
       [](f& c) { c.sink_logits = view1(c.data(3) + 8, f::heads), c.attention(); }},
      {"lse overlaps sink_logits",
       {"lse", "sink_logits", "overlap"},
       [](f& c) { c.sink_logits = view1(c.data(4) + 8, f::heads), c.attention(); }},
      {"workspace too small",
       {"options.workspace", "7 bytes", "needs"},
       [](f& c) { c.delta_in(7); }},
      {"workspace overlaps v",
       {"options.workspace", "v", "overlap"},
       [](f& c) { c.v = tensor_at(c.data(9), {2, f::keys, 2, f::dv}), c.delta_in(f::room); }},
      {"workspace overlaps out",
       {"options.workspace", "out", "overlap"},
       [](f& c) { c.out = tensor_at(c.data(9), {2, f::queries, 4, f::dv}), c.delta_in(f::room); }},
      {"workspace has no memory",
       {"options.workspace", "its data() is null"},
       [](f& c) {
         da::attention(c.exec, c.q, c.k, c.v, c.out, da::causal{},
                       da::options{.workspace = bytes_view(nullptr, 100)});
       }},
      {"out is one row for all tokens",
       {"out", "(1920, 0, 24)"},
       [](f& c) {
         c.out = view4(c.data(3), Kokkos::LayoutStride(2, 1920, f::queries, 0, 4, 24, 24, 1));
         c.attention();
       }},
      {"out's heads overlap",
       {"out", "8"},
       [](f& c) {
         c.out = view4(c.data(3), Kokkos::LayoutStride(2, 1920, f::queries, 96, 4, 8, 24, 1));
         c.attention();
       }},
  };
}

std::vector<contract> options() {
  const integer far = std::numeric_limits<integer>::max();
  return {
      {"scale NaN", {"scale", "nan"}, [](f& c) { c.attention(da::full{}, nan_value); }},
      {"scale infinite", {"scale", "inf"}, [](f& c) { c.attention(da::full{}, infinity); }},
      {"softcap negative", {"softcap", "-2.5"}, [](f& c) { c.attention(da::full{}, {}, -2.5); }},
      {"softcap NaN", {"softcap", "nan"}, [](f& c) { c.attention(da::full{}, {}, nan_value); }},
      {"softcap infinite", {"softcap", "inf"}, [](f& c) { c.attention(da::full{}, {}, infinity); }},
      {"query_offset overflows",
       {"query_offset", std::to_string(far)},
       [=](f& c) { c.attention(da::causal{}, {}, 0, far); }},
      {"sinks negative",
       {"sinks", "-1"},
       [](f& c) { c.attention(da::sink_window{.sinks = -1, .window = 2}); }},
      {"window negative",
       {"window", "-7"},
       [](f& c) { c.attention(da::sink_window{.sinks = 1, .window = -7}); }},
      {"align 0",
       {"align", "0"},
       [](f& c) { c.attention(da::sink_window{.sinks = 1, .window = 2, .align = 0}); }},
      {"align negative",
       {"align", "-16"},
       [](f& c) { c.attention(da::sink_window{.sinks = 1, .window = 2, .align = -16}); }},
      {"a bad mask on the left of |",
       {"window", "-7"},
       [](f& c) { c.attention(da::sink_window{.window = -7} | da::causal{}); }},
      {"a bad mask on the right of &",
       {"sinks", "-3"},
       [](f& c) {
         c.attention((da::causal{} | da::full{}) & (da::full{} | da::sink_window{.sinks = -3}));
       }},
      {"a bad mask under delta",
       {"window", "-7"},
       [](f& c) {
         da::delta_attention(c.exec, c.q, c.k, c.v, c.out, da::sink_window{.window = -7},
                             da::delta{}, da::options{.query_offset = 0});
       }},
      {"stride 0", {"stride", "0"}, [](f& c) { c.delta({.stride = 0}); }},
      {"stride negative", {"stride", "-64"}, [](f& c) { c.delta({.stride = -64}); }},
      {"average 0", {"average", "0"}, [](f& c) { c.delta({.average = 0}); }},
      {"average negative", {"average", "-2"}, [](f& c) { c.delta({.average = -2}); }},
      {"tail negative", {"tail", "-1"}, [](f& c) { c.delta({.tail = -1}); }},
      {"a chunk starts between anchors",
       {"10", "16"},
       [](f& c) { c.delta({.stride = 16, .tail = 3}, 10); }},
      {"a default offset between anchors",
       {"10", "16"},
       [](f& c) { c.delta({.stride = 16, .tail = 0}, {}); }},
      {"delta: kv heads do not divide",
       {"3 kv heads", "4 heads"},
       [](f& c) {
         c.k = c.at(1, {2, f::keys, 3, f::d}), c.v = c.at(2, {2, f::keys, 3, f::dv});
         c.delta({});
       }},
      {"delta: lse of another shape",
       {"lse", "21", "20"},
       [](f& c) { c.lse = lse_at(c.data(4), 2, 21, f::heads), c.delta({}); }},
      {"describe: kv heads do not divide",
       {"3 kv heads", "4 heads"},
       [](f& c) {
         c.k = c.at(1, {2, f::keys, 3, f::d}), c.v = c.at(2, {2, f::keys, 3, f::dv});
         da::describe(c.exec, c.q, c.k, c.v, c.out, da::causal{});
       }},
  };
}

std::vector<contract> blocks() {
  return {
      {"query blocks of 24 rows", {"24", "16"}, [](f& c) { c.lists(1, 1, 1, 2, 24, 16); }},
      {"key blocks of 8 keys", {"8", "16"}, [](f& c) { c.lists(1, 1, 2, 4, 16, 8); }},
      {"query blocks of no rows", {"0 rows"}, [](f& c) { c.lists(1, 1, 2, 2, 0, 16); }},
      {"key blocks of -16 keys", {"-16"}, [](f& c) { c.lists(1, 1, 2, 2, 16, -16); }},
      {"csr: query blocks of 17 rows", {"17"}, [](f& c) { c.csr(3, 1, 1, 17, 16); }},
      {"csr: no batches", {"batches", "0"}, [](f& c) { c.csr(1, 0, 1); }},
      {"csr: no heads", {"heads", "0"}, [](f& c) { c.csr(1, 1, 0); }},
      {"csr: -2 heads", {"heads", "-2"}, [](f& c) { c.csr(1, 1, -2); }},
      {"csr: offsets that do not divide", {"6", "2", "4"}, [](f& c) { c.csr(6, 2, 4); }},
      {"csr: no offsets at all", {"0 offsets"}, [](f& c) { c.csr(0, 1, 1); }},
      {"lists of other batches",
       {"3", "2"},
       [](f& c) { c.attention(da::block_sparse{c.lists(3, 1, 2, 2)}); }},
      {"lists of other heads",
       {"2", "4"},
       [](f& c) { c.attention(da::block_sparse{c.lists(1, 2, 2, 2)}); }},
      {"lists of other query blocks",
       {"3", "2"},
       [](f& c) { c.attention(da::block_sparse{c.lists(1, 1, 3, 2)}); }},
      {"lists of other key blocks",
       {"5", "2"},
       [](f& c) { c.attention(da::block_sparse{c.lists(1, 1, 2, 5)}); }},
      {"csr lists of other query blocks",
       {"1", "2"},
       [](f& c) { c.attention(da::block_sparse{c.csr(2, 1, 1)}); }},
      {"bad lists inside a composition",
       {"3", "2"},
       [](f& c) {
         c.attention((da::block_sparse{c.lists(3, 1, 2, 2)} | da::full{}) & da::causal{});
       }},
  };
}

std::vector<contract> merging() {
  return {
      {"merge: out_a has other tokens",
       {"out_a", "19", "20"},
       [](f& c) { c.out_a = c.at(5, {2, 19, f::heads, f::dv}), c.merge(); }},
      {"merge: out_b has another size",
       {"out_b", "32", "24"},
       [](f& c) { c.out_b = c.at(6, {2, f::queries, f::heads, 32}), c.merge(); }},
      {"merge: lse_a has other heads",
       {"lse_a", "3", "4"},
       [](f& c) { c.lse_a = lse_at(c.data(7), 2, f::queries, 3), c.merge(); }},
      {"merge: lse_b has other batches",
       {"lse_b", "1", "2"},
       [](f& c) { c.lse_b = lse_at(c.data(8), 1, f::queries, f::heads), c.merge(); }},
      {"merge: lse has other tokens",
       {"lse", "22", "20"},
       [](f& c) { c.lse = lse_at(c.data(4), 2, 22, f::heads), c.merge(); }},
      {"merge: out overlaps out_a in part",
       {"out", "out_a", "overlap"},
       [](f& c) {
         c.out = tensor_at(c.data(5) + 24, {2, f::queries, f::heads, f::dv}), c.merge();
       }},
      {"merge: lse overlaps lse_b in part",
       {"lse", "lse_b", "overlap"},
       [](f& c) { c.lse = lse_at(c.data(8) + 1, 2, f::queries, f::heads), c.merge(); }},
      {"merge: lse overlaps out",
       {"lse", "out", "overlap"},
       [](f& c) { c.lse = lse_at(c.data(3), 2, f::queries, f::heads), c.merge(); }},
      {"merge: lse overlaps out_b",
       {"lse", "out_b", "overlap"},
       [](f& c) { c.lse = lse_at(c.data(6), 2, f::queries, f::heads), c.merge(); }},
      {"merge: out overlaps lse_a",
       {"out", "lse_a", "overlap"},
       [](f& c) { c.out = tensor_at(c.data(7), {2, f::queries, f::heads, f::dv}), c.merge(); }},
      {"merge: out_a has strided channels",
       {"out_a", "stride 2"},
       [](f& c) { c.out_a = c.at(5, {2, f::queries, f::heads, f::dv}, 2), c.merge(); }},
      {"merge: out_b has no memory",
       {"out_b", "null"},
       [](f& c) { c.out_b = tensor_at(nullptr, {2, f::queries, f::heads, f::dv}), c.merge(); }},
  };
}

void check(const std::vector<contract>& rows) {
  for (const contract& row : rows) {
    CAPTURE(row.name);
    call_fixture c;
    Kokkos::deep_copy(c.memory, std::numeric_limits<float>::quiet_NaN());
    std::string message = "(nothing was thrown)";
    bool thrown = false;
    try {
      row.broken(c);
    } catch (const da::contract_error& error) {
      thrown = true;
      message = error.what();
    }
    CAPTURE(message);
    CHECK(thrown);
    for (const std::string& value : row.values) {
      CAPTURE(value);
      CHECK(message.find(value) != std::string::npos);
    }
    Kokkos::fence("test: whatever was launched is over");
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace{}, c.memory);
    std::size_t written = 0;
    for (std::size_t i = 0; i < host.extent(0); ++i) written += std::isnan(host(i)) ? 0 : 1;
    CHECK(written == 0);
  }
}

}  // namespace

TEST_CASE("contract: the fixture itself keeps it", "[contract]") {
  call_fixture c;
  CHECK_NOTHROW(c.attention());
  CHECK_NOTHROW(c.attention(da::block_sparse{c.lists(2, 4, 2, 2)}));
  CHECK_NOTHROW(c.attention(da::block_sparse{c.csr(3, 1, 1)}));
  CHECK_NOTHROW(c.delta({.stride = 16, .tail = 3}));
  CHECK_NOTHROW(c.merge());
  // The state merged into may be one of the two.
  c.out = c.out_a, c.lse = c.lse_a;
  CHECK_NOTHROW(c.merge());
}

TEST_CASE("contract: shapes", "[contract]") {
  check(shapes());
}
TEST_CASE("contract: head sizes", "[contract]") {
  check(sizes());
}
TEST_CASE("contract: memory", "[contract]") {
  check(memory());
}
TEST_CASE("contract: options, masks and corrections", "[contract]") {
  check(options());
}
TEST_CASE("contract: block lists", "[contract]") {
  check(blocks());
}
TEST_CASE("contract: merge_states", "[contract]") {
  check(merging());
}

TEST_CASE("contract: there are 40 kinds and more", "[contract]") {
  CHECK(shapes().size() + sizes().size() + memory().size() + options().size() + blocks().size() +
            merging().size() >=
        80);
}

TEST_CASE("contract: any offset will do where nothing is corrected", "[contract]") {
  call_fixture c;
  CHECK_NOTHROW(c.delta({.stride = 16, .correction = da::correction::none}, 10));
  CHECK_NOTHROW(c.delta({.stride = 16, .tail = 20}, 10));
}

TEST_CASE("contract: parts of one fused tensor do not overlap", "[contract]") {
  // (batch, token, [q heads, k heads, v heads], 32), and an output inside the same rows
  call_fixture c;
  constexpr std::size_t heads = 4 + 2 + 2 + 4, token = heads * 32;
  const auto part = [&](std::size_t first, std::size_t count) {
    return view4(c.data(0) + first * 32,
                 Kokkos::LayoutStride(2, 30 * token, 30, token, count, 32, 32, 1));
  };
  CHECK_NOTHROW(
      da::attention(c.exec, part(0, 4), part(4, 2), part(6, 2), part(8, 4), da::causal{}));
  CHECK_THROWS_AS(
      da::attention(c.exec, part(0, 4), part(4, 2), part(6, 2), part(7, 4), da::causal{}),
      da::contract_error);
}
