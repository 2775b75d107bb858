// The shapes that GPUs run: all of their problems' sizes, and no bank conflict.
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include "family.hpp"

namespace {

using setup_here = emulated::setup_of<da::bfloat16, emulated::production>;

void check(const shape& s, const oracle::parameters& options = {},
           layout where = layout::tokens_first) {
  emulation::gpu& gpu = emulation::the_gpu();
  gpu.start(1);
  check_attention<setup_here>(s, cases::causal(), options, where);
  INFO(describe(s));
  CHECK(gpu.failure == "");
}

}  // namespace

TEST_CASE("emulated: shared memory without bank conflicts", "[emulation][banks]") {
  emulation::gpu& gpu = emulation::the_gpu();
  gpu.count_banks = true;
  for (const integer size : {64, 128, 256})
    for (const integer queries : {1, 150}) {
      check({.queries = queries, .keys = 200, .size = size, .value_size = size});
      INFO("d " << size << ", queries " << queries);
      CHECK(gpu.loads.instructions > 0);
      CHECK(gpu.stores.instructions > 0);
      CHECK(gpu.loads.ratio() == 1);
      CHECK(gpu.stores.ratio() == 1);
    }
  gpu.count_banks = false;
}

TEST_CASE("emulated: few rows, keys split", "[emulation]") {
  check({.queries = 2, .keys = 2300, .query_heads = 6, .kv_heads = 2});
  check({.queries = 1, .keys = 1100, .size = 200, .value_size = 136}, {.softcap = 3});
}

TEST_CASE("emulated: an infinite element of a key", "[emulation]") {
  // Behind the last channels lies padding, where queries are zeros: 0 * infinity would be a NaN.
  for (const integer queries : {1, 70})
    for (const integer size : {16, 72, 136}) {
      problem_of<setup_here> p({.queries = queries, .keys = 90, .size = size});
      for (integer i = 0; i < queries; ++i) p.q(0, i, 0, size - 1) = -1;
      const auto with = [&](double element) {
        p.k(0, 40, 0, size - 1) = element;
        emulation::the_gpu().start(1);
        results result = run_attention<setup_here::family>(p, da::causal{});
        CHECK(emulation::the_gpu().failure == "");
        return result.out;
      };
      INFO(describe(p.sizes));
      CHECK(compare_exactly(with(INFINITY), with(0x1p120)) == "");  // both have no weight
    }
}

TEMPLATE_TEST_CASE("emulated: scores that rise from tile to tile", "[emulation]", da::bfloat16,
                   da::float16) {
  using setup = emulated::setup_of<TestType, emulated::small>;
  // `rise` is a tile's, of 64 keys, to the base 2 about twice as much; of all keys, or of the last
  // two of eight, which one lane in four of NVIDIA's holds.
  const auto check_rise = [](double rise, bool of_all) {
    for (const integer queries : {1, 70}) {
      problem_of<setup> p({.queries = queries, .keys = 400});
      for (integer i = 0; i < queries; ++i) p.q(0, i, 0, 0) = 8;
      for (integer j = 0; j < 400; ++j)
        p.k(0, j, 0, 0) = -40 + (of_all || j % 8 >= 6 ? rise * static_cast<double>(j / 64) : 0);
      emulation::the_gpu().start(1);
      check_attention<setup>(p, cases::full());
      CHECK(emulation::the_gpu().failure == "");
    }
  };
  check_rise(4, true);    // scores stay negative; float16 holds no weight of three missed rises
  check_rise(12, false);  // weights pass what a float holds
}

TEMPLATE_TEST_CASE("emulated: rows whose references rise leave others alone", "[emulation]",
                   da::bfloat16, da::float16) {
  using setup = emulated::setup_of<TestType, emulated::small>;
  // Rows 64 to 99 see a second tile of keys, where their scores rise by some 2^13. With the later
  // keys those of rows from 100 on rise by much more.
  constexpr integer cut = 100, tokens = 120;
  const auto first_rows = [](double later) {
    problem_of<setup> p({.queries = tokens, .keys = tokens});
    for (integer j = 64; j < tokens; ++j)
      for (integer e = 0; e < p.sizes.size; ++e) p.k(0, j, 0, e) *= j < cut ? 6 : later;
    emulation::the_gpu().start(1);
    const results all = run_attention<typename setup::family>(p, da::causal{});
    CHECK(emulation::the_gpu().failure == "");
    std::vector<double> first;
    for (integer i = 0; i < cut; ++i)
      for (integer e = 0; e < p.sizes.value_size; ++e) first.push_back(all.out(0, i, 0, e));
    return first;
  };
  CHECK(first_rows(1) == first_rows(300));
}

TEST_CASE("emulated: sizes of heads, aligned and not", "[emulation]") {
  for (const layout where : {layout::tokens_first, layout::heads_first, layout::padded})
    for (const auto& [size, value_size] : {std::pair{16, 64}, {72, 16}, {128, 120}, {136, 256}})
      check({.queries = 70, .keys = 90, .size = size, .value_size = value_size}, {.scale = -0.2},
            where);
}
