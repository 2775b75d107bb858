// Block lists: how they are shared, their block sizes, both builders.
#include <catch2/catch_template_test_macros.hpp>

#include "call.hpp"
#include "shapes.hpp"

namespace {

template <class Setup>
void check_blocks(const shape& s, const cases::block_options& blocks,
                  const oracle::parameters& options = {}) {
  problem_of<Setup> p(s, options);
  check_attention<Setup>(p, cases::blocks(p.exec, s, p.offset(), blocks));
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("block_sparse: tokens, heads and sizes", "[attention][block_sparse]",
                        every_setup) {
  for (const auto* shapes : {&token_shapes, &head_shapes, &size_shapes, &empty_shapes})
    for (const shape& s : *shapes) check_blocks<TestType>(s, {.query_block = 32, .key_block = 48});
}

TEMPLATE_LIST_TEST_CASE("block_sparse: block sizes and sharing", "[attention][block_sparse]",
                        every_setup) {
  const shape s{.batches = 2, .queries = 213, .keys = 300, .query_heads = 4, .kv_heads = 2};
  unsigned seed = 0;
  for (const auto& [query_block, key_block] : std::vector<std::pair<integer, integer>>{
           {16, 16}, {128, 64}, {64, 128}, {80, 48}, {1024, 16}, {16, 1024}})
    for (const bool per_batch : {false, true})
      for (const bool per_head : {false, true})
        check_blocks<TestType>(s, {.query_block = query_block,
                                   .key_block = key_block,
                                   .per_batch = per_batch,
                                   .per_head = per_head,
                                   .from_csr = per_batch != per_head,
                                   .seed = ++seed});
}

TEMPLATE_LIST_TEST_CASE("block_sparse: rows count from query_offset", "[attention][block_sparse]",
                        every_setup) {
  const shape s{.queries = 70, .keys = 90, .query_heads = 2, .kv_heads = 2};
  for (const integer offset : {0, 7, 20, 300, -5, -300})
    check_blocks<TestType>(s, {.visible = 0.5}, {.query_offset = offset});
}

TEMPLATE_LIST_TEST_CASE("block_sparse: no block, every block", "[attention][block_sparse]",
                        every_setup) {
  const shape s{.queries = 70, .keys = 90, .query_heads = 2, .kv_heads = 1};
  for (const bool visible : {false, true})
    for (const bool from_csr : {false, true}) {
      problem_of<TestType> p(s, {.sink_logits = {0.5f, -1.0f}});
      check_attention<TestType>(
          p, cases::blocks(p.exec, oracle::block_table(1, 1, 70, 90, 16, 32, visible), p.offset(),
                           from_csr, visible ? "every block" : "no block"));
    }
}

TEST_CASE("block_sparse: builders give the same lists", "[block_lists]") {
  using exec_space = Kokkos::DefaultExecutionSpace;
  const exec_space exec;
  const shape s{.batches = 2, .queries = 200, .keys = 333, .query_heads = 3, .kv_heads = 1};
  const auto table = cases::random_blocks(s, {.query_block = 32, .key_block = 16});
  const auto a = cases::lists_from_mask(exec, table), b = cases::lists_from_csr(exec, table);
  exec.fence();
  const auto on_host = [](const auto& view) {
    const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace{}, view);
    std::vector<integer> values;
    for (std::size_t i = 0; i < host.extent(0); ++i) values.push_back(host(i));
    return values;
  };
  CHECK(on_host(a.offsets()) == on_host(b.offsets()));
  CHECK(on_host(a.indices()) == on_host(b.indices()));
  CHECK(a.query_blocks() == 7);
  CHECK(a.query_block() == 32);
  CHECK(b.key_block() == 16);
}
