#pragma once

#include <delta_attention/kernel/key_parts.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>

namespace delta_attention::kernel {

/// Where a finished row goes, unless it is not `wanted`: an atom stores finished(c, sum) as channel
/// c. Atoms that read `added` (null where there is nothing to add) themselves take scaled(sum).
template <class Value, class Accumulator> struct destination {
  using value = Value;
  Value* out;
  Accumulator factor;
  const Accumulator* added;
  bool wanted;

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

// An epilogue says where rows go: row(rows, r, split, maximum, sum) is the destination of row r;
// wants(rows, split): is there any?

/// Output rows, with sink logits, and the lse where it was asked for.
template <class Element> struct store_output {
  using accumulator = accumulator_of<Element>;
  output<Element> to;

  static constexpr KOKKOS_FUNCTION bool wants(const tile_rows&, int) { return true; }
  KOKKOS_INLINE_FUNCTION row_result<accumulator> result(int head, accumulator maximum,
                                                        accumulator sum) const {
    const row_result<accumulator> r = finish_row(maximum, sum);
    return to.sink_logits.data == nullptr
               ? r
               : with_sink(r, accumulator(*to.sink_logits.row(0, 0, head)));
  }
  KOKKOS_INLINE_FUNCTION destination<Element, accumulator> row(const tile_rows& rows, int r, int,
                                                               accumulator maximum,
                                                               accumulator sum) const {
    const int head = rows.head(r);
    const std::int64_t token = rows.token(r);
    const row_result<accumulator> x = result(head, maximum, sum);
    if (to.lse.data != nullptr) *to.lse.row(rows.batch, token, head) = x.lse;
    return {to.out.row(rows.batch, token, head), x.factor, nullptr, true};
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
  KOKKOS_INLINE_FUNCTION destination<Element, accumulator> row(const tile_rows& rows, int r,
                                                               int split, accumulator maximum,
                                                               accumulator sum) const {
    const std::int64_t token = rows.token(r), anchor = token / stride;
    if (token == anchor * stride) return {nullptr, 0, nullptr, false};
    auto to = plain.row(rows, r, split, maximum, sum);
    if (corrections.data != nullptr) to.added = corrections.row(rows.batch, anchor, rows.head(r));
    return to;
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
  KOKKOS_INLINE_FUNCTION destination<Accumulator, Accumulator> row(const tile_rows& rows, int r,
                                                                   int split, Accumulator maximum,
                                                                   Accumulator sum) const {
    const std::int64_t row = rows.ordinal(r);
    if (split >= parts.of(row)) return {nullptr, 0, nullptr, false};
    const row_result<Accumulator> x = finish_row(maximum, sum);
    const std::int64_t place = parts.place(split, row);
    *lse.row(rows.batch, place, rows.head(r)) = x.lse;
    return {out.row(rows.batch, place, rows.head(r)), x.factor, nullptr, true};
  }
};

}  // namespace delta_attention::kernel
