// `allows`, `classify` and `next` of every mask against the oracle's predicate: all blocks of rows
// x all ranges of keys of small problems. A claim (empty, full, nothing in between) must be true;
// where a mask can say it exactly, it must.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <sstream>
#include <vector>

#include <delta_attention/mask/hidden.hpp>
#include <type_traits>

#include "mask_cases.hpp"

namespace {

using da::mask::coverage;
using host_space = Kokkos::DefaultHostExecutionSpace;

enum class sharpness { true_claims, classify, classify_and_next };

std::string text(const std::string& name, int batch, int head, integer first, integer last) {
  std::ostringstream out;
  out << name << ": batch " << batch << " head " << head << " positions " << first << ".." << last;
  return out.str();
}

// How many (row, key) pairs of a rectangle are visible, in O(1).
class counted {
 public:
  counted(const oracle::predicate& allows, int batch, int head, integer offset, integer queries,
          integer keys)
      : keys_(keys), sums_(static_cast<std::size_t>((queries + 1) * (keys + 1))) {
    for (integer i = 0; i < queries; ++i)
      for (integer j = 0; j < keys; ++j)
        at(i + 1, j + 1) =
            at(i, j + 1) + at(i + 1, j) - at(i, j) + (allows(batch, head, i + offset, j) ? 1 : 0);
  }
  integer operator()(integer first, integer last, integer begin, integer end) {
    return at(last + 1, end) - at(first, end) - at(last + 1, begin) + at(first, begin);
  }

 private:
  integer& at(integer i, integer j) { return sums_[static_cast<std::size_t>(i * (keys_ + 1) + j)]; }
  integer keys_;
  std::vector<integer> sums_;
};

template <class Case, class Bound>
void check_bound(const Case& c, const Bound& bound, const shape& s, integer offset,
                 sharpness sharp) {
  std::size_t wrong_allows = 0, wrong_row = 0, wrong_classify = 0, blunt_classify = 0,
              wrong_next = 0, blunt_next = 0, loose_next = 0;
  std::string first_wrong;
  const auto note = [&](std::size_t& count, const auto&... words) {
    if (count++ == 0 && first_wrong.empty()) {
      std::ostringstream out;
      (out << ... << words);
      first_wrong = out.str();
    }
  };
  for (int b = 0; b < s.batches; ++b)
    for (int h = 0; h < s.query_heads; ++h) {
      counted visible(c.allows, b, h, offset, s.queries, s.keys);
      for (integer i = 0; i < s.queries; ++i)
        for (integer j = 0; j < s.keys; ++j)
          if (bound.allows(b, h, i + offset, j) != c.allows(b, h, i + offset, j))
            note(wrong_allows, text(c.name, b, h, i + offset, i + offset), " key ", j, " allows");
      // One row of a tile, as the kernels ask for it.
      for (integer i = 0; i < s.queries; ++i)
        for (integer begin = 0; begin < s.keys; ++begin) {
          const integer p = i + offset;
          const auto tile = da::mask::within(bound, {b, h, offset, offset + s.queries - 1},
                                             da::mask::key_range{begin, s.keys});
          const auto row = tile.row(b, h, p, begin);
          for (integer j = begin; j < s.keys; ++j) {
            const int at = static_cast<int>(j - begin), first = at / 32 * 32;
            const auto word =
                da::mask::word_of(row, first, static_cast<int>(s.keys - begin) - first);
            const bool truth = c.allows(b, h, p, j);
            if (row.sees(at) != truth || (word >> (at - first) & 1) != truth)
              note(wrong_row, text(c.name, b, h, p, p), " key ", j, " of a tile from ", begin);
          }
        }
      for (integer first = 0; first < s.queries; ++first)
        for (integer last = first; last < s.queries; ++last) {
          const da::mask::row_block rows{b, h, first + offset, last + offset};
          for (integer begin = 0; begin < s.keys; ++begin)
            for (integer end = begin + 1; end <= s.keys; ++end) {
              const integer count = visible(first, last, begin, end);
              const coverage truth = count == 0 ? coverage::empty
                                     : count == (last - first + 1) * (end - begin)
                                         ? coverage::full
                                         : coverage::partial;
              const coverage claim = bound.classify(rows, {begin, end});
              if (claim == truth) continue;
              auto& error = claim == coverage::partial ? blunt_classify : wrong_classify;
              if (claim == coverage::partial && sharp == sharpness::true_claims) continue;
              note(error, text(c.name, b, h, rows.first, rows.last), " keys ", begin, "..", end,
                   " claim ", static_cast<int>(claim), " truth ", static_cast<int>(truth));
            }
          for (integer from = 0; from <= s.keys; ++from) {
            const da::mask::key_range range = bound.next(rows, from);
            const integer begin = std::min(range.begin, s.keys);
            const bool legal =
                range.begin >= from &&
                (range.begin >= s.keys || (range.begin < range.end && range.end <= s.keys)) &&
                visible(first, last, from, begin) == 0;
            if (!legal)
              note(wrong_next, text(c.name, b, h, rows.first, rows.last), " next from ", from,
                   " gives ", range.begin, "..", range.end);
            else if (sharp == sharpness::classify_and_next && range.begin < s.keys &&
                     visible(first, last, begin, begin + 1) == 0)
              note(blunt_next, text(c.name, b, h, rows.first, rows.last), " next from ", from,
                   " gives ", range.begin, "..", range.end, ", whose first key no row sees");
            if (legal && bound.next_is_tight())
              for (integer j = range.begin; j < std::min(range.end, s.keys); ++j)
                if (visible(first, last, j, j + 1) == 0)
                  note(loose_next, text(c.name, b, h, rows.first, rows.last), " next from ", from,
                       " is not tight: no row sees key ", j);
          }
        }
    }
  INFO(first_wrong);
  CHECK(wrong_allows == 0);
  CHECK(wrong_row == 0);
  CHECK(wrong_classify == 0);
  CHECK(blunt_classify == 0);
  CHECK(wrong_next == 0);
  CHECK(blunt_next == 0);
  CHECK(loose_next == 0);
}

da::mask::geometry geometry_of(const shape& s, integer offset) {
  return {s.batches, s.query_heads, s.queries, s.keys, offset};
}

template <class Mask>
void check_mask(const mask_case<Mask>& c, const shape& s, integer offset, sharpness sharp) {
  check_bound(c, da::mask::bind(c.mask, geometry_of(s, offset)), s, offset, sharp);
}

// What the mask within causal hides, as delta's anchors ask for it.
template <class Mask> void check_hidden(const mask_case<Mask>& c, const shape& s, integer offset) {
  const auto sizes = geometry_of(s, offset);
  const auto shown = da::mask::bind(c.mask & da::causal{}, sizes);
  const struct {
    std::string name;
    oracle::predicate allows;
  } hidden{"hidden by " + c.name,
           [&](int b, int h, integer p, integer j) { return j <= p && !c.allows(b, h, p, j); }};
  const auto dense = da::mask::bind(da::causal{}, sizes);
  check_bound(hidden, da::mask::bound_hidden<std::decay_t<decltype(shown)>>{shown, dense}, s,
              offset, sharpness::true_claims);
  if constexpr (std::is_same_v<Mask, da::sink_window>) {
    const auto alone = da::mask::bind(c.mask, sizes);
    check_bound(hidden, da::mask::bound_hidden<std::decay_t<decltype(alone)>>{alone, dense}, s,
                offset, sharpness::true_claims);
  }
}

// Bottom-right aligned, a later chunk, rows before the first key, rows beyond the last.
const std::vector<std::pair<shape, integer>> small = {
    {{.queries = 18, .keys = 18}, 0},  {{.queries = 11, .keys = 23}, 12},
    {{.queries = 13, .keys = 21}, 4},  {{.queries = 21, .keys = 9}, -12},
    {{.queries = 12, .keys = 14}, 9},  {{.queries = 1, .keys = 17}, 16},
    {{.queries = 17, .keys = 1}, -16},
};

// Block lists need more than one block of 16.
const std::vector<std::pair<shape, integer>> medium = {
    {{.batches = 2, .queries = 37, .keys = 53, .query_heads = 2}, 16},
    {{.queries = 50, .keys = 20, .query_heads = 1}, -30},
};

}  // namespace

TEST_CASE("masks: full and causal are exact", "[mask]") {
  for (const auto& [s, offset] : small) {
    CAPTURE(describe(s), offset);
    check_mask(cases::full(), s, offset, sharpness::classify_and_next);
    check_mask(cases::causal(), s, offset, sharpness::classify_and_next);
  }
}

TEST_CASE("masks: sink_window is exact", "[mask]") {
  for (const auto& [s, offset] : small) {
    CAPTURE(describe(s), offset);
    for (const integer sinks : {0, 1, 3, 30})
      for (const integer window : {0, 1, 2, 5, 30}) {
        check_mask(cases::sink_window(sinks, window), s, offset,
                   window > 0 ? sharpness::classify_and_next : sharpness::classify);
        for (const integer align : {2, 4, 7, 64})
          check_mask(cases::sink_window(sinks, window, align), s, offset, sharpness::classify);
      }
  }
}

TEST_CASE("masks: numbers near 2^63 do not overflow", "[mask]") {
  constexpr integer huge = std::numeric_limits<integer>::max();
  const shape s{.queries = 9, .keys = 12};
  const auto everything = [](mask_case<da::sink_window> c) {
    c.allows = oracle::causal();
    return c;
  };
  const auto sinks_only = [](mask_case<da::sink_window> c) {
    c.allows = [](int, int, integer p, integer j) { return j <= p && j < 2; };
    return c;
  };
  const auto of = [](integer sinks, integer window, integer align) {
    return mask_case<da::sink_window>{
        {.sinks = sinks, .window = window, .align = align}, {}, "huge"};
  };
  for (const integer offset : {-4, 0, 3}) {
    check_mask(everything(of(huge, 0, 1)), s, offset, sharpness::classify);
    check_mask(everything(of(0, huge, 1)), s, offset, sharpness::classify);
    check_mask(everything(of(huge, huge, huge)), s, offset, sharpness::classify);
    check_mask(sinks_only(of(2, 5, huge)), s, std::max<integer>(offset, 0), sharpness::classify);
  }
}

TEST_CASE("masks: block_sparse is exact", "[mask]") {
  const host_space exec;
  for (const auto& [s, offset] : medium)
    for (const bool from_csr : {false, true})
      for (const auto& [query_block, key_block] : {std::pair{16, 16}, {32, 16}, {16, 48}}) {
        CAPTURE(describe(s), offset);
        check_mask(cases::blocks(exec, s, offset,
                                 {.query_block = query_block,
                                  .key_block = key_block,
                                  .per_batch = from_csr,
                                  .per_head = !from_csr || query_block == 16,
                                  .from_csr = from_csr,
                                  .seed = static_cast<unsigned>(query_block + key_block)}),
                   s, offset, sharpness::classify_and_next);
      }
}

TEST_CASE("masks: a user's mask and its derived ranges", "[mask]") {
  const shape s{.batches = 2, .queries = 14, .keys = 19, .query_heads = 3};
  for (const integer offset : {0, 5}) {
    check_mask(cases::user(), s, offset, sharpness::classify_and_next);
    check_mask(cases::user() & cases::causal(), s, offset, sharpness::true_claims);
  }
}

TEST_CASE("masks: what a mask within causal hides", "[mask]") {
  for (const auto& [s, offset] : small) {
    CAPTURE(describe(s), offset);
    check_hidden(cases::full(), s, offset);
    check_hidden(cases::user(), s, offset);
    for (const integer sinks : {0, 1, 3, 30})
      for (const integer window : {0, 1, 2, 5, 30})
        for (const integer align : {1, 4, 64})
          check_hidden(cases::sink_window(sinks, window, align), s, offset);
  }
  for (const auto& [s, offset] : medium) {
    CAPTURE(describe(s), offset);
    check_hidden(cases::blocks(host_space(), s, offset) | cases::sink_window(2, 3), s, offset);
  }
}

TEST_CASE("masks: nested | and & make true claims", "[mask]") {
  using namespace cases;
  for (const auto& [s, offset] : small) {
    CAPTURE(describe(s), offset);
    const auto claims = [&, &s = s, offset = offset](const auto& c) {
      check_mask(c, s, offset, sharpness::true_claims);
    };
    claims(sink_window(2, 3) | sink_window(0, 7, 4));
    claims(sink_window(9, 0) & sink_window(0, 6));
    claims((sink_window(1, 2) | user(3)) & causal());
    claims((full() & causal()) | (user(1) & sink_window(4, 9, 2)));
    claims(((sink_window(1, 0) | sink_window(0, 1)) & causal()) | (user(2) & user(5)));
  }
  const host_space exec;
  for (const auto& [s, offset] : medium) {
    const auto a = blocks(exec, s, offset, {.visible = 0.3, .seed = 5});
    const auto b = blocks(exec, s, offset, {.query_block = 32, .key_block = 32, .seed = 6});
    check_mask((a | sink_window(3, 5)) & causal(), s, offset, sharpness::true_claims);
    check_mask(a | (b & sink_window(0, 12, 8)), s, offset, sharpness::true_claims);
  }
}
