#pragma once

#include <delta_attention/mask/block_lists.hpp>
#include <delta_attention/mask/mask.hpp>
#include <delta_attention/tensor/contract.hpp>

namespace delta_attention {

/// A row sees the keys of the blocks that its query block's list names. Query blocks count the rows
/// of the call (position - query_offset), key blocks count keys. A call throws contract_error where
/// the lists are for other batches, heads or tokens than its own.
template <class MemorySpace> struct block_sparse : mask_base {
  /// Which key blocks each query block sees.
  block_lists<MemorySpace> lists;

  /// @param l the lists, which the mask shares
  explicit block_sparse(const block_lists<MemorySpace>& l) : lists(l) {}

  /// @cond internal
  struct bound {
    static constexpr int complexity = 2;
    static constexpr bool row_blocks = true;
    const std::int64_t* offsets;
    const std::int32_t* indices;
    std::int64_t query_blocks, query_block, key_block, queries, keys, query_offset;
    bool one_batch, one_head;
    std::int32_t heads;

    KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position,
                                std::int64_t key) const {
      const std::int64_t row = position - query_offset;
      if (row < 0 || row >= queries) return false;
      const list l = of(batch, head, row / query_block);
      const std::int32_t* found = lower_bound(l, key / key_block);
      return found != l.end && *found == key / key_block;
    }
    KOKKOS_FUNCTION mask::coverage classify(mask::row_block rows, mask::key_range range) const {
      const std::int64_t first_key = range.begin / key_block,
                         last_key = (range.end - 1) / key_block;
      bool any = false, all = rows.first >= query_offset && rows.last < query_offset + queries;
      for (std::int64_t i = first_block(rows); i <= last_block(rows); ++i) {
        const list l = of(rows.batch, rows.head, i);
        const std::int64_t count = lower_bound(l, last_key + 1) - lower_bound(l, first_key);
        any = any || count > 0;
        all = all && count == last_key - first_key + 1;
      }
      return all && any ? mask::coverage::full
             : any      ? mask::coverage::partial
                        : mask::coverage::empty;
    }
    KOKKOS_FUNCTION mask::key_range next(mask::row_block rows, std::int64_t from) const {
      mask::key_range result{keys, keys};
      for (std::int64_t i = first_block(rows); i <= last_block(rows); ++i) {
        const list l = of(rows.batch, rows.head, i);
        const std::int32_t* x = lower_bound(l, from / key_block);
        if (x == l.end) continue;
        const std::int64_t block = *x * key_block, begin = block > from ? block : from;
        if (begin >= keys || begin > result.end) continue;
        std::int64_t end = block + key_block;
        for (++x; x != l.end && *x * key_block == end; ++x) end += key_block;
        end = end < keys ? end : keys;
        // Intervals that touch are one; of two apart, the earlier.
        if (end < result.begin)
          result = {begin, end};
        else
          result = {begin < result.begin ? begin : result.begin,
                    result.begin == keys || end > result.end ? end : result.end};
      }
      return result;
    }
    KOKKOS_FUNCTION bool next_is_tight() const { return true; }
    KOKKOS_FUNCTION bool varies_by_head() const { return !one_head; }

   private:
    struct list {
      const std::int32_t *begin, *end;
    };
    KOKKOS_FUNCTION list of(std::int64_t batch, std::int64_t head, std::int64_t block) const {
      const std::int64_t row =
          ((one_batch ? 0 : batch) * heads + (one_head ? 0 : head)) * query_blocks + block;
      return {indices + offsets[row], indices + offsets[row + 1]};
    }
    KOKKOS_FUNCTION static const std::int32_t* lower_bound(list l, std::int64_t block) {
      std::int64_t count = l.end - l.begin;
      while (count > 0) {
        const std::int64_t half = count / 2;
        const bool below = l.begin[half] < block;
        l.begin = below ? l.begin + half + 1 : l.begin;
        count = below ? count - half - 1 : half;
      }
      return l.begin;
    }
    KOKKOS_FUNCTION std::int64_t first_block(mask::row_block rows) const {
      const std::int64_t row = rows.first - query_offset;
      return row > 0 ? row / query_block : 0;
    }
    KOKKOS_FUNCTION std::int64_t last_block(mask::row_block rows) const {
      const std::int64_t row = rows.last - query_offset;
      return row < 0 ? -1 : (row < queries ? row : queries - 1) / query_block;
    }
  };

  void check(const mask::geometry& sizes) const {
    const std::int64_t expected = (sizes.queries + lists.query_block() - 1) / lists.query_block();
    require(lists.batches() == 1 || lists.batches() == sizes.batches, "block lists are for ",
            lists.batches(), " batches, but the call has ", sizes.batches, " (1 would share them)");
    require(lists.heads() == 1 || lists.heads() == sizes.query_heads, "block lists are for ",
            lists.heads(), " heads, but q has ", sizes.query_heads, " (1 would share them)");
    require(lists.query_blocks() == expected, "block lists have ", lists.query_blocks(),
            " query blocks of ", lists.query_block(), " rows, but ", sizes.queries,
            " query tokens make ", expected);
    const std::int64_t key_blocks = (sizes.keys + lists.key_block() - 1) / lists.key_block();
    require(lists.key_blocks() == 0 || lists.key_blocks() == key_blocks, "block lists have ",
            lists.key_blocks(), " key blocks of ", lists.key_block(), " keys, but ", sizes.keys,
            " key tokens make ", key_blocks);
  }
  bound bind(const mask::geometry& sizes) const {
    return {lists.offsets().data(),
            lists.indices().data(),
            lists.query_blocks(),
            lists.query_block(),
            lists.key_block(),
            sizes.queries,
            sizes.keys,
            sizes.query_offset,
            lists.batches() == 1,
            lists.heads() == 1,
            static_cast<std::int32_t>(lists.heads())};
  }
  /// @endcond
};

}  // namespace delta_attention
