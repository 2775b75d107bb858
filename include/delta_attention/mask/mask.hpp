#pragma once

#include <Kokkos_Core.hpp>

#include <concepts>
#include <cstdint>

namespace delta_attention {

/// Base of every mask. Deriving from it gives a struct the operators | and &. A mask of your own
/// has one function, which is called on the device for position and key of any row and key:
/// `KOKKOS_FUNCTION bool allows(int batch, int query_head, std::int64_t position, std::int64_t key)
/// const`.
struct mask_base {};

/// A type that is a mask: derived from mask_base.
template <class T>
concept mask_like = std::derived_from<T, mask_base>;

namespace mask {

/// The sizes of one call, to which a mask is bound at launch.
struct geometry {
  std::int64_t batches, query_heads, queries, keys, query_offset;
};

/// Query rows of one batch and one head: the positions first..last, both included.
struct row_block {
  int batch, head;
  std::int64_t first, last;
};

/// Keys begin <= j < end.
struct key_range {
  std::int64_t begin, end;
  KOKKOS_FUNCTION constexpr std::int64_t size() const { return end - begin; }
};

enum class coverage { empty, partial, full };

/// What a kernel asks of a mask. `allows` is the truth; the others follow from it:
/// - `classify`: does every row of the block see every key of the range (full), none any (empty)?
///   `partial` is always a legal answer.
/// - `next`: the first interval at or after `from` that contains every key from there on that some
///   row of the block sees, up to the interval's end; its begin is the number of keys where nothing
///   is left.
/// - `next_is_tight`: does some row of the block see each key of such an interval? `false` is
/// always
///   a legal answer.
/// - `varies_by_head`: may two query heads see different keys?
template <class M>
concept bound_mask = requires(const M& m, int i, std::int64_t x, row_block rows, key_range keys) {
  { m.allows(i, i, x, x) } -> std::convertible_to<bool>;
  { m.classify(rows, keys) } -> std::same_as<coverage>;
  { m.next(rows, x) } -> std::same_as<key_range>;
  { m.next_is_tight() } -> std::same_as<bool>;
  { m.varies_by_head() } -> std::same_as<bool>;
};

/// Key `key` counted from `first`, where that is a tile's first key and only its sign matters far
/// off.
KOKKOS_INLINE_FUNCTION int offset_from(std::int64_t first, std::int64_t key) {
  constexpr std::int64_t far = 1 << 30;
  const std::int64_t offset = key - first;
  return int(offset < -far ? -far : offset > far ? far : offset);
}

/// One row under a mask: sees(j) is `allows` of key first + j. A bound mask that is quickly asked
/// brings its own, for a tile's elements, with sums done once and in 32 bits: `row(position,
/// first)`. One of intervals has word(j, count) besides, for word_of.
template <class M> struct allowed_row {
  const M& m;
  int batch, head;
  std::int64_t position, first;
  KOKKOS_INLINE_FUNCTION bool sees(int j) const {
    return m.allows(batch, head, position, first + j);
  }
};

/// Bit i is row.sees(j + i), for i < count (and 32); others are anything.
template <class Row>
KOKKOS_INLINE_FUNCTION std::uint32_t word_of(const Row& row, int j, int count) {
  if constexpr (requires { row.word(j, count); }) {
    return row.word(j, count);
  } else {
    std::uint32_t word = 0;
    const int end = count < 32 ? count : 32;
    for (int i = 0; i < end; ++i) word |= std::uint32_t(row.sees(j + i)) << i;
    return word;
  }
}
KOKKOS_INLINE_FUNCTION std::uint32_t bits_below(int n) {
  const int count = n < 0 ? 0 : n > 32 ? 32 : n;
  return ~std::uint32_t(~std::uint64_t(0) << count);
}

/// A user's mask, with what it does not say itself derived from `allows`.
template <class User> struct derived {
  static constexpr int complexity = 1000;  // its function may be of any size and call others
  User user;
  geometry sizes;

  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    return user.allows(batch, head, position, key);
  }
  KOKKOS_FUNCTION coverage classify(row_block rows, key_range keys) const {
    constexpr std::int64_t most = 4096;  // one by one takes too long for more elements
    if ((rows.last - rows.first + 1) * keys.size() > most) return coverage::partial;
    const bool expected = allows(rows.batch, rows.head, rows.first, keys.begin);
    for (std::int64_t p = rows.first; p <= rows.last; ++p)
      for (std::int64_t j = keys.begin; j < keys.end; ++j)
        if (allows(rows.batch, rows.head, p, j) != expected) return coverage::partial;
    return expected ? coverage::full : coverage::empty;
  }
  KOKKOS_FUNCTION key_range next(row_block rows, std::int64_t from) const {
    for (std::int64_t j = from; j < sizes.keys; ++j)
      for (std::int64_t p = rows.first; p <= rows.last; ++p)
        if (allows(rows.batch, rows.head, p, j)) return {j, sizes.keys};
    return {sizes.keys, sizes.keys};
  }
  KOKKOS_FUNCTION bool next_is_tight() const { return false; }
  KOKKOS_FUNCTION bool varies_by_head() const { return true; }
};

/// How much code a kernel has for a bound mask: 1 for one of intervals, unless it says otherwise.
template <class M> constexpr int complexity_of() {
  if constexpr (requires { M::complexity; })
    return M::complexity;
  else
    return 1;
}
/// Do rows come in blocks, each with its own list of keys, in the mask or in a part of it? Then the
/// rows that a kernel takes together had best not straddle them.
template <class M> constexpr bool has_row_blocks() {
  if constexpr (requires { M::row_blocks; })
    return M::row_blocks;
  else
    return false;
}

/// The mask as the kernels of one call see it.
template <class M> auto bind(const M& m, const geometry& sizes) {
  static_assert(mask_like<M>, "a mask must be derived from delta_attention::mask_base");
  if constexpr (requires { m.bind(sizes); }) {
    return m.bind(sizes);
  } else {
    static_assert(
        requires(const M& c, int i, std::int64_t x) {
          { c.allows(i, i, x, x) } -> std::convertible_to<bool>;
        },
        "a mask of your own needs KOKKOS_FUNCTION bool allows(int batch, int query_head, "
        "std::int64_t position, "
        "std::int64_t key) const");
    return derived<M>{m, sizes};
  }
}

/// Throws contract_error where the mask's own numbers make no sense for these sizes.
template <class M> void check(const M& m, const geometry& sizes) {
  if constexpr (requires { m.check(sizes); }) m.check(sizes);
}

}  // namespace mask
}  // namespace delta_attention
