#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/tensor/contract.hpp>

#include <cstdint>
#include <limits>
#include <type_traits>

namespace delta_attention {

/// For each (batch, head, query block) the ascending list of visible key blocks, as CSR: the list
/// of row r = (batch * heads + head) * query_blocks + query block is indices[offsets[r]] ...
/// indices[offsets[r + 1] - 1]. An extent of 1 for batches or heads shares the lists. A cheap
/// handle: copies share the lists.
template <class MemorySpace> class block_lists {
 public:
  /// Where the lists are.
  using memory_space = MemorySpace;
  /// Where each list begins, and one more: the end of the last.
  using offsets_type = Kokkos::View<std::int64_t*, MemorySpace>;
  /// The key blocks of all lists, one list after the other.
  using indices_type = Kokkos::View<std::int32_t*, MemorySpace>;

  /// Takes CSR arrays as they are, without a copy; see block_lists_from_csr for one.
  /// @param offsets batches * heads * query blocks + 1 of them
  /// @param indices ascending within each list
  /// @param batches,heads those of the calls, or 1: shared by all
  /// @param query_block,key_block rows of a query block and keys of a key block, positive multiples
  /// of 16
  /// @throws contract_error where a number breaks this; the arrays' values are not read
  block_lists(offsets_type offsets, indices_type indices, std::int64_t batches, std::int64_t heads,
              std::int64_t query_block, std::int64_t key_block)
      : offsets_(offsets),
        indices_(indices),
        batches_(batches),
        heads_(heads),
        query_block_(query_block),
        key_block_(key_block) {
    require(batches >= 1, "block lists: batches is ", batches,
            ", but lists are for at least 1 (1: shared by all)");
    require(heads >= 1, "block lists: heads is ", heads,
            ", but lists are for at least 1 (1: shared by all)");
    require(query_block >= 16 && query_block % 16 == 0, "block lists: query blocks have ",
            query_block, " rows, which is not a positive multiple of 16");
    require(key_block >= 16 && key_block % 16 == 0, "block lists: key blocks have ", key_block,
            " keys, which is not a positive multiple of 16");
    const auto lists = static_cast<std::int64_t>(offsets.extent(0)) - 1;
    require(lists >= 0 && lists % (batches * heads) == 0, "block lists: ", offsets.extent(0),
            " offsets, but there must be batches (", batches, ") x heads (", heads,
            ") x query blocks of them, and one more");
    query_blocks_ = lists / (batches * heads);
  }

  /// Batches that have lists of their own; 1: shared by all.
  std::int64_t batches() const { return batches_; }
  /// Query heads that have lists of their own; 1: shared by all.
  std::int64_t heads() const { return heads_; }
  /// Lists of one batch and head.
  std::int64_t query_blocks() const { return query_blocks_; }
  /// Rows of a query block.
  std::int64_t query_block() const { return query_block_; }
  /// Keys of a key block.
  std::int64_t key_block() const { return key_block_; }
  /// The CSR offsets.
  const offsets_type& offsets() const { return offsets_; }
  /// The CSR indices.
  const indices_type& indices() const { return indices_; }
  /// The number of key blocks the lists were made from, or 0 where nobody said.
  std::int64_t key_blocks() const { return key_blocks_; }
  /// Says it: calls then check that their keys make as many.
  /// @param n the number of key blocks
  /// @returns the lists themselves
  block_lists& key_blocks(std::int64_t n) {
    key_blocks_ = n;
    return *this;
  }

 private:
  offsets_type offsets_;
  indices_type indices_;
  std::int64_t batches_, heads_, query_blocks_ = 0, key_blocks_ = 0, query_block_, key_block_;
};

/// Lists from CSR arrays, which are copied on `exec`, without a fence.
///
/// @param exec the execution space instance that copies
/// @param offsets batch * heads * query blocks + 1 of them, a rank-1 View of an integral type that
/// `exec` can read: where each list begins, and the end of the last
/// @param indices the visible key blocks, ascending within each list, a View likewise
/// @param batch,heads those of the calls, or 1: lists shared by all
/// @param query_block,key_block rows of a query block and keys of a key block, positive multiples
/// of 16
/// @returns the lists, in the memory space of `exec`
/// @throws contract_error where a number breaks this; the arrays' values are not checked
template <class Exec, class Offsets, class Indices>
block_lists<typename Exec::memory_space> block_lists_from_csr(
    const Exec& exec, const Offsets& offsets, const Indices& indices, std::int64_t batch,
    std::int64_t heads, std::int64_t query_block, std::int64_t key_block) {
  static_assert(Kokkos::is_execution_space_v<Exec>,
                "the first argument must be a Kokkos execution space instance");
  static_assert(Offsets::rank() == 1 && Indices::rank() == 1,
                "offsets and indices must be views of rank 1");
  static_assert(std::is_integral_v<typename Offsets::non_const_value_type> &&
                    std::is_integral_v<typename Indices::non_const_value_type>,
                "offsets and indices must have an integral type");
  using memory = typename Exec::memory_space;
  using lists = block_lists<memory>;
  typename lists::offsets_type o(
      Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, "delta_attention::offsets"),
      offsets.extent(0));
  typename lists::indices_type x(
      Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, "delta_attention::indices"),
      indices.extent(0));
  const lists result(o, x, batch, heads, query_block, key_block);
  Kokkos::parallel_for(
      "delta_attention::copy_offsets", Kokkos::RangePolicy<Exec>(exec, 0, offsets.extent(0)),
      KOKKOS_LAMBDA(std::int64_t i) { o(i) = static_cast<std::int64_t>(offsets(i)); });
  Kokkos::parallel_for(
      "delta_attention::copy_indices", Kokkos::RangePolicy<Exec>(exec, 0, indices.extent(0)),
      KOKKOS_LAMBDA(std::int64_t i) { x(i) = static_cast<std::int32_t>(indices(i)); });
  return result;
}

/// Lists from a mask of blocks. Waits for the number of visible blocks, since that is the size of
/// the lists.
///
/// @param exec the execution space instance that counts and lists
/// @param visible a View of bool (batch or 1, head or 1, query block, key block) that `exec` can
/// read; an extent of 1 for batches or heads: lists shared by all
/// @param query_block,key_block rows of a query block and keys of a key block, positive multiples
/// of 16
/// @returns the lists, in the memory space of `exec`, which know their number of key blocks
/// @throws contract_error where a number breaks this
template <class Exec, class Visible>
block_lists<typename Exec::memory_space> block_lists_from_mask(const Exec& exec,
                                                               const Visible& visible,
                                                               std::int64_t query_block,
                                                               std::int64_t key_block) {
  static_assert(Kokkos::is_execution_space_v<Exec>,
                "the first argument must be a Kokkos execution space instance");
  static_assert(Visible::rank() == 4,
                "visible must be a view of rank 4: (batch, head, query block, key block)");
  static_assert(std::is_same_v<typename Visible::non_const_value_type, bool>,
                "visible must be a view of bool");
  using memory = typename Exec::memory_space;
  using lists = block_lists<memory>;
  const std::int64_t batches = visible.extent(0), heads = visible.extent(1),
                     query_blocks = visible.extent(2), key_blocks = visible.extent(3),
                     rows = batches * heads * query_blocks;
  require(key_blocks <= std::numeric_limits<std::int32_t>::max(), "block lists: ", key_blocks,
          " key blocks, but a block's index must fit 32 bits");
  typename lists::offsets_type o(Kokkos::view_alloc(exec, "delta_attention::offsets"), rows + 1);
  const lists checked(o, {}, batches, heads, query_block, key_block);
  std::int64_t total = 0;
  Kokkos::parallel_scan(
      "delta_attention::count_blocks", Kokkos::RangePolicy<Exec>(exec, 0, rows),
      KOKKOS_LAMBDA(std::int64_t r, std::int64_t& sum, bool last) {
        const std::int64_t b = r / (heads * query_blocks), h = r / query_blocks % heads,
                           i = r % query_blocks;
        for (std::int64_t j = 0; j < key_blocks; ++j) sum += visible(b, h, i, j) ? 1 : 0;
        if (last) o(r + 1) = sum;
      },
      total);
  typename lists::indices_type x(
      Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, "delta_attention::indices"), total);
  Kokkos::parallel_for(
      "delta_attention::list_blocks", Kokkos::RangePolicy<Exec>(exec, 0, rows),
      KOKKOS_LAMBDA(std::int64_t r) {
        const std::int64_t b = r / (heads * query_blocks), h = r / query_blocks % heads,
                           i = r % query_blocks;
        std::int64_t at = o(r);
        for (std::int64_t j = 0; j < key_blocks; ++j)
          if (visible(b, h, i, j)) x(at++) = static_cast<std::int32_t>(j);
      });
  return lists(o, x, batches, heads, query_block, key_block).key_blocks(key_blocks);
}

}  // namespace delta_attention
