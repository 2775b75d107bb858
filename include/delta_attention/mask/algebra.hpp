#pragma once

#include <delta_attention/mask/mask.hpp>

namespace delta_attention {
namespace mask {

template <bound_mask A, bound_mask B> struct bound_union {
  static constexpr int complexity = complexity_of<A>() + complexity_of<B>();
  static constexpr bool row_blocks = has_row_blocks<A>() || has_row_blocks<B>();
  A a;
  B b;

  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    return a.allows(batch, head, position, key) || b.allows(batch, head, position, key);
  }
  KOKKOS_FUNCTION coverage classify(row_block rows, key_range keys) const {
    const coverage x = a.classify(rows, keys);
    if (x == coverage::full) return x;
    const coverage y = b.classify(rows, keys);
    if (y == coverage::full) return y;
    return x == coverage::empty && y == coverage::empty ? coverage::empty : coverage::partial;
  }
  KOKKOS_FUNCTION key_range next(row_block rows, std::int64_t from) const {
    key_range r = a.next(rows, from), s = b.next(rows, from);
    if (s.begin < r.begin) {
      const key_range t = r;
      r = s;
      s = t;
    }
    if (s.begin <= r.end && s.end > r.end) r.end = s.end;
    return r;
  }
  KOKKOS_FUNCTION bool next_is_tight() const { return a.next_is_tight() && b.next_is_tight(); }
  KOKKOS_FUNCTION bool varies_by_head() const { return a.varies_by_head() || b.varies_by_head(); }
};

template <bound_mask A, bound_mask B> struct bound_intersection {
  static constexpr int complexity = complexity_of<A>() + complexity_of<B>();
  static constexpr bool row_blocks = has_row_blocks<A>() || has_row_blocks<B>();
  A a;
  B b;
  std::int64_t keys;

  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    return a.allows(batch, head, position, key) && b.allows(batch, head, position, key);
  }
  KOKKOS_FUNCTION coverage classify(row_block rows, key_range range) const {
    const coverage x = a.classify(rows, range);
    if (x == coverage::empty) return x;
    const coverage y = b.classify(rows, range);
    if (y == coverage::empty) return y;
    return x == coverage::full && y == coverage::full ? coverage::full : coverage::partial;
  }
  KOKKOS_FUNCTION key_range next(row_block rows, std::int64_t from) const {
    while (true) {
      const key_range x = a.next(rows, from), y = b.next(rows, from);
      const key_range both{x.begin > y.begin ? x.begin : y.begin, x.end < y.end ? x.end : y.end};
      if (both.begin < both.end || both.begin >= keys)
        return both.begin < keys ? both : key_range{keys, keys};
      from = both.begin;
    }
  }
  KOKKOS_FUNCTION bool next_is_tight() const { return false; }
  KOKKOS_FUNCTION bool varies_by_head() const { return a.varies_by_head() || b.varies_by_head(); }
};

/// `allows` on one block of rows and keys, for which the leaf masks were classified beforehand: a
/// block list need not be searched for every element of a block that it shows as a whole.
template <class M> struct decided {
  const M& m;
  coverage c;
  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    return c == coverage::partial ? m.allows(batch, head, position, key) : c == coverage::full;
  }
  KOKKOS_INLINE_FUNCTION auto row(int batch, int head, std::int64_t position,
                                  std::int64_t first) const {
    const allowed_row<M> whole{m, batch, head, position, first};
    struct one_row {
      allowed_row<M> r;
      coverage c;
      KOKKOS_INLINE_FUNCTION bool sees(int j) const {
        return c == coverage::partial ? r.sees(j) : c == coverage::full;
      }
      KOKKOS_INLINE_FUNCTION std::uint32_t word(int j, int count) const {
        return c == coverage::partial ? word_of(r, j, count) : c == coverage::full ? ~0u : 0;
      }
    };
    return one_row{whole, c};
  }
};
/// Two of them, both or either; all bits are computed, as a vector lane does.
template <bool Both, class A, class B> struct combined {
  A a;
  B b;
  template <class Bits> static KOKKOS_INLINE_FUNCTION Bits of(Bits x, Bits y) {
    return Both ? x & y : x | y;
  }

  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    return of(a.allows(batch, head, position, key), b.allows(batch, head, position, key));
  }
  KOKKOS_INLINE_FUNCTION auto row(int batch, int head, std::int64_t position,
                                  std::int64_t first) const {
    const auto first_row = a.row(batch, head, position, first);
    const auto second_row = b.row(batch, head, position, first);
    struct one_row {
      decltype(first_row) x;
      decltype(second_row) y;
      KOKKOS_INLINE_FUNCTION bool sees(int j) const { return of(x.sees(j), y.sees(j)); }
      KOKKOS_INLINE_FUNCTION std::uint32_t word(int j, int count) const {
        return of(word_of(x, j, count), word_of(y, j, count));
      }
    };
    return one_row{first_row, second_row};
  }
};
/// A mask that is quickly asked is asked for every element.
template <class M> struct undecided {
  const M& m;
  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    return m.allows(batch, head, position, key);
  }
  KOKKOS_INLINE_FUNCTION auto row(int, int, std::int64_t position, std::int64_t first) const {
    return m.row(position, first);
  }
};
template <class M> KOKKOS_FUNCTION auto within(const M& m, row_block rows, key_range keys) {
  if constexpr (requires { m.row(rows.first, keys.begin); })
    return undecided<M>{m};
  else
    return decided<M>{m, m.classify(rows, keys)};
}
template <class A, class B>
KOKKOS_FUNCTION auto within(const bound_union<A, B>& m, row_block rows, key_range keys);
template <class A, class B>
KOKKOS_FUNCTION auto within(const bound_intersection<A, B>& m, row_block rows, key_range keys);
template <class A, class B>
KOKKOS_FUNCTION auto within(const bound_union<A, B>& m, row_block rows, key_range keys) {
  return combined<false, decltype(within(m.a, rows, keys)), decltype(within(m.b, rows, keys))>{
      within(m.a, rows, keys), within(m.b, rows, keys)};
}
template <class A, class B>
KOKKOS_FUNCTION auto within(const bound_intersection<A, B>& m, row_block rows, key_range keys) {
  return combined<true, decltype(within(m.a, rows, keys)), decltype(within(m.b, rows, keys))>{
      within(m.a, rows, keys), within(m.b, rows, keys)};
}

/// a | b: keys that a or b shows.
template <mask_like A, mask_like B> struct union_of : mask_base {
  A a;
  B b;
  union_of(const A& first, const B& second) : a(first), b(second) {}
  void check(const geometry& sizes) const {
    mask::check(a, sizes);
    mask::check(b, sizes);
  }
  auto bind(const geometry& sizes) const {
    return bound_union<decltype(mask::bind(a, sizes)), decltype(mask::bind(b, sizes))>{
        mask::bind(a, sizes), mask::bind(b, sizes)};
  }
};

/// a & b: keys that a and b show.
template <mask_like A, mask_like B> struct intersection_of : mask_base {
  A a;
  B b;
  intersection_of(const A& first, const B& second) : a(first), b(second) {}
  void check(const geometry& sizes) const {
    mask::check(a, sizes);
    mask::check(b, sizes);
  }
  auto bind(const geometry& sizes) const {
    return bound_intersection<decltype(mask::bind(a, sizes)), decltype(mask::bind(b, sizes))>{
        mask::bind(a, sizes), mask::bind(b, sizes), sizes.keys};
  }
};

}  // namespace mask

/// The mask of the keys that a or b shows; a key that both show counts once.
/// @param a,b any masks
/// @returns a mask that holds copies of both
template <mask_like A, mask_like B> auto operator|(const A& a, const B& b) {
  return mask::union_of<A, B>(a, b);
}
/// The mask of the keys that both a and b show.
/// @param a,b any masks
/// @returns a mask that holds copies of both
template <mask_like A, mask_like B> auto operator&(const A& a, const B& b) {
  return mask::intersection_of<A, B>(a, b);
}

}  // namespace delta_attention
