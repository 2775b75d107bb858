// Every mask of three rows and three keys, placed across the edges of panels and tiles.
#include <atomic>
#include <catch2/catch_test_macros.hpp>

#include "family.hpp"

namespace {

constexpr int rows = 3, keys = 3, heads = 32, batches = 16;
static_assert(heads * batches == 1 << rows * keys, "each pair of batch and head has its own mask");

std::atomic<bool> asked_beyond{false};  // of a key that the call does not have

/// Bit 3 i + j of the head's number: does the i-th row see the j-th key? Other rows and keys see
/// and are seen by nobody, but for key 0 if there is a sink. The third key is the call's last.
struct every_mask : da::mask_base {
  std::int64_t first_row = 0, first_key = 0;
  bool sink = false;
  every_mask(std::int64_t row, std::int64_t key, bool with_sink)
      : first_row(row), first_key(key), sink(with_sink) {}
  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    const std::int64_t i = position - first_row, j = key - first_key;
    if (j >= keys) asked_beyond = true;
    if (sink && key == 0) return true;
    return i >= 0 && i < rows && j >= 0 && j < keys &&
           ((batch * heads + head) >> (3 * i + j) & 1) != 0;
  }
};

mask_case<every_mask> all_masks(integer first_row, integer first_key, bool sink) {
  // Written again, not called: the oracle shares nothing.
  const auto allows = [=](int batch, int head, integer position, integer key) {
    const integer i = position - first_row, j = key - first_key;
    const bool listed = 0 <= i && i < 3 && 0 <= j && j < 3;
    return (sink && key == 0) || (listed && ((32 * batch + head) & (1 << (3 * i + j))) != 0);
  };
  return {every_mask(first_row, first_key, sink), allows,
          "every mask from row " + std::to_string(first_row) + " and key " +
              std::to_string(first_key) + (sink ? " and key 0" : "")};
}

template <class Shapes>
void check(integer queries, integer first_row, integer first_key, bool sink) {
  using setup = emulated::setup_of<da::bfloat16, Shapes>;
  problem_of<setup> p({.batches = batches,
                       .queries = queries,
                       .keys = first_key + keys,
                       .query_heads = heads,
                       .kv_heads = heads,
                       .size = 16,
                       .value_size = 16},
                      {.query_offset = 0});
  emulation::the_gpu().start(1);
  check_attention<setup>(p, all_masks(first_row, first_key, sink));
  CHECK(emulation::the_gpu().failure == "");
  CHECK(!asked_beyond.exchange(false));
}

}  // namespace

TEST_CASE("emulated: every small mask", "[emulation][mask]") {
  using emulated::small;
  check<small>(rows, 0, 0, false);       // few rows
  check<small>(rows, 0, 31, true);       // across the first tile's end
  check<small>(17 + rows, 15, 7, true);  // across the first panel's end
  check<small>(17 + rows, 14, 30, false);
}
