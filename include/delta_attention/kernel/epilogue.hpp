#pragma once

#include <delta_attention/kernel/key_parts.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>

#include <utility>

namespace delta_attention::kernel {

/// A finished row: an atom stores finished(c, sum) as channel c. Atoms that read `added` (null
/// where there is nothing to add) themselves take scaled(sum).
template <class Value, class Accumulator> struct destination {
  using value = Value;
  Value* out;  // null for a row that nobody wants
  Accumulator factor;
  const Accumulator* added;

  /// Of an Accumulator, or of a vector of them.
  template <class T> KOKKOS_INLINE_FUNCTION T scaled(T sum) const {
    // A row without keys holds whatever its masked weights left: the factor 0 must win over a NaN.
    return factor == 0 ? T{} : sum * factor;
  }
  KOKKOS_INLINE_FUNCTION Accumulator finished(int c, Accumulator sum) const {
    return added == nullptr ? scaled(sum) : scaled(sum) + added[c];
  }
  KOKKOS_INLINE_FUNCTION void store(int c, Accumulator sum) const {
    out[c] = Value(finished(c, sum));
  }
};

/// Where a row goes and what joins it there, as far as it is known before the row is finished; null
/// where there is none of it, or nobody wants the row. `Adds`: can there be anything to add?
template <class Value, class Accumulator, bool Adds = false> struct row_place {
  Value* out;
  Accumulator* lse;
  const Accumulator* added;
  Accumulator sink_logit = -Kokkos::Experimental::infinity_v<Accumulator>;  // none

  KOKKOS_INLINE_FUNCTION row_result<Accumulator> result(Accumulator maximum,
                                                        Accumulator sum) const {
    return with_sink(finish_row(maximum, sum), sink_logit);
  }
  KOKKOS_INLINE_FUNCTION destination<Value, Accumulator> ends(
      const row_result<Accumulator>& x) const {
    return {out, x.factor, Adds ? added : nullptr};
  }
  /// Both, and stores the lse.
  KOKKOS_INLINE_FUNCTION destination<Value, Accumulator> finish(Accumulator maximum,
                                                                Accumulator sum) const {
    const row_result<Accumulator> x = result(maximum, sum);
    if (lse != nullptr) *lse = x.lse;
    return ends(x);
  }
};

// An epilogue says where rows go: place(rows, r, split) is that of row r; wants(rows, split): does
// anybody want one of them?

template <class Epilogue>
using place_of =
    decltype(std::declval<const Epilogue&>().place(std::declval<const tile_rows&>(), 0, 0));

/// Output rows, with sink logits, and the lse where it was asked for.
template <class Element> struct store_output {
  using accumulator = accumulator_of<Element>;
  output<Element> to;

  static constexpr KOKKOS_FUNCTION bool wants(const tile_rows&, int) { return true; }
  KOKKOS_INLINE_FUNCTION row_place<Element, accumulator> place(const tile_rows& rows, int r,
                                                               int) const {
    const int head = rows.head(r);
    const std::int64_t token = rows.token(r);
    return {to.out.row(rows.batch, token, head),
            to.lse.data == nullptr ? nullptr : to.lse.row(rows.batch, token, head), nullptr,
            to.sink_logit(head)};
  }
};

/// Sparse rows of a corrected pass: the group's correction is added before the one rounding;
/// anchors are left alone.
template <class Element> struct store_corrected {
  using accumulator = accumulator_of<Element>;
  store_output<Element> plain;
  tensor<const accumulator>
      corrections;  // (batch, anchor, head, channel); data is null where there is nothing to add
  std::int64_t stride;

  static constexpr KOKKOS_FUNCTION bool wants(const tile_rows&, int) { return true; }
  KOKKOS_INLINE_FUNCTION row_place<Element, accumulator, true> place(const tile_rows& rows, int r,
                                                                     int split) const {
    const std::int64_t token = rows.token(r), anchor = token / stride;
    if (token == anchor * stride) return {};
    const auto to = plain.place(rows, r, split);
    return {
        to.out, to.lse,
        corrections.data == nullptr ? nullptr : corrections.row(rows.batch, anchor, rows.head(r)),
        to.sink_logit};
  }
};

/// Partial states of rows: normalised output and lse in the accumulator's precision, without sink
/// logits, where `parts` has a place for the row's ordinal in its set; parts that a row does not
/// see have none.
template <class Accumulator> struct store_state {
  tensor<Accumulator> out, lse;
  key_parts parts;

  KOKKOS_INLINE_FUNCTION bool wants(const tile_rows& rows, int split) const {
    return split < parts.of(rows.ordinal(rows.count - 1));
  }
  KOKKOS_INLINE_FUNCTION row_place<Accumulator, Accumulator> place(const tile_rows& rows, int r,
                                                                   int split) const {
    const std::int64_t row = rows.ordinal(r);
    if (split >= parts.of(row)) return {};
    const std::int64_t at = parts.place(split, row);
    return {out.row(rows.batch, at, rows.head(r)), lse.row(rows.batch, at, rows.head(r)), nullptr};
  }
};

}  // namespace delta_attention::kernel
