#pragma once

#include <delta_attention/mask/algebra.hpp>
#include <delta_attention/mask/causal.hpp>

namespace delta_attention::mask {

/// What a mask within causal hides of the keys up to a row's position: with what it shows, all that
/// dense attention sees. A mask that knows brings `next_hidden(rows, from)`, which is `next` of
/// these keys.
template <bound_mask A> struct bound_hidden {
  static constexpr int complexity = complexity_of<A>();
  static constexpr bool row_blocks = has_row_blocks<A>();
  A shown;
  causal::bound dense;

  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    return dense.allows(batch, head, position, key) && !shown.allows(batch, head, position, key);
  }
  KOKKOS_FUNCTION coverage classify(row_block rows, key_range keys) const {
    const coverage x = dense.classify(rows, keys);
    if (x == coverage::empty) return x;
    const coverage y = shown.classify(rows, keys);
    return y == coverage::full ? coverage::empty : y == coverage::empty ? x : coverage::partial;
  }
  KOKKOS_FUNCTION key_range next(row_block rows, std::int64_t from) const {
    if constexpr (requires { shown.next_hidden(rows, from); })
      return shown.next_hidden(rows, from);
    else
      return dense.next(rows, from);
  }
  KOKKOS_FUNCTION bool next_is_tight() const { return false; }
  KOKKOS_FUNCTION bool varies_by_head() const { return shown.varies_by_head(); }
};

template <class A> struct negated {
  A a;
  KOKKOS_FUNCTION bool allows(int batch, int head, std::int64_t position, std::int64_t key) const {
    return !a.allows(batch, head, position, key);
  }
  KOKKOS_INLINE_FUNCTION auto row(int batch, int head, std::int64_t position,
                                  std::int64_t first) const {
    const auto shown = a.row(batch, head, position, first);
    struct one_row {
      decltype(shown) x;
      KOKKOS_INLINE_FUNCTION bool sees(int j) const { return !x.sees(j); }
      KOKKOS_INLINE_FUNCTION std::uint32_t word(int j, int count) const {
        return ~word_of(x, j, count);
      }
    };
    return one_row{shown};
  }
};
template <class A>
KOKKOS_FUNCTION auto within(const bound_hidden<A>& m, row_block rows, key_range keys) {
  using dense = decltype(within(m.dense, rows, keys));
  using hidden = negated<decltype(within(m.shown, rows, keys))>;
  return combined<true, dense, hidden>{within(m.dense, rows, keys), {within(m.shown, rows, keys)}};
}

}  // namespace delta_attention::mask
