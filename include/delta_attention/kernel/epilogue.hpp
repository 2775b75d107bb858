#pragma once

#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>

namespace delta_attention::kernel {

// An epilogue says where a finished row goes: `row(...)` gives the destination of one row, or one
// that is not `wanted`; finished(c, sum) is what an atom stores as channel c of it. One that reads
// something for each channel has finish_two besides, for two neighbours, of which c is even.

template <class Destination, class Accumulator>
KOKKOS_INLINE_FUNCTION void finish_two(const Destination& to, int c, Accumulator& x,
                                       Accumulator& y) {
  if constexpr (requires { to.finish_two(c, x, y); }) {
    to.finish_two(c, x, y);
  } else {
    x = to.finished(c, x);
    y = to.finished(c + 1, y);
  }
}

/// Output rows, with sink logits, and the lse where it was asked for.
template <class Element> struct store_output {
  using accumulator = accumulator_of<Element>;
  output<Element> to;

  struct destination {
    using value = Element;
    Element* out;
    accumulator factor;
    bool wanted;
    KOKKOS_INLINE_FUNCTION accumulator finished(int, accumulator sum) const {
      // A row without keys holds whatever its masked weights left: the factor 0 must win over a
      // NaN.
      return factor == 0 ? accumulator(0) : sum * factor;
    }
  };
  KOKKOS_INLINE_FUNCTION row_result<accumulator> result(int head, accumulator maximum,
                                                        accumulator sum) const {
    const row_result<accumulator> r = finish_row(maximum, sum);
    return to.sink_logits.data == nullptr
               ? r
               : with_sink(r, accumulator(*to.sink_logits.row(0, 0, head)));
  }
  KOKKOS_INLINE_FUNCTION destination row(const tile_rows& rows, int r, int, accumulator maximum,
                                         accumulator sum) const {
    const int head = rows.head(r);
    const std::int64_t token = rows.token(r);
    const row_result<accumulator> x = result(head, maximum, sum);
    if (to.lse.data != nullptr) *to.lse.row(rows.batch, token, head) = x.lse;
    return {to.out.row(rows.batch, token, head), x.factor, true};
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

  struct destination {
    using value = Element;
    Element* out;
    accumulator factor;
    const accumulator* correction;
    bool wanted;
    KOKKOS_INLINE_FUNCTION accumulator finished(int c, accumulator sum) const {
      const accumulator sparse = factor == 0 ? accumulator(0) : sum * factor;
      return correction == nullptr ? sparse : sparse + correction[c];
    }
    KOKKOS_INLINE_FUNCTION void finish_two(int c, accumulator& x, accumulator& y) const {
      struct alignas(2 * sizeof(accumulator)) two {
        accumulator x, y;
      } both{};
      if (correction != nullptr) both = *reinterpret_cast<const two*>(correction + c);
      x = (factor == 0 ? accumulator(0) : x * factor) + both.x;
      y = (factor == 0 ? accumulator(0) : y * factor) + both.y;
    }
  };
  KOKKOS_INLINE_FUNCTION destination row(const tile_rows& rows, int r, int split,
                                         accumulator maximum, accumulator sum) const {
    const std::int64_t token = rows.token(r);
    if (token % stride == 0) return {nullptr, 0, nullptr, false};
    const auto d = plain.row(rows, r, split, maximum, sum);
    return {d.out, d.factor,
            corrections.data == nullptr ? nullptr
                                        : corrections.row(rows.batch, token / stride, rows.head(r)),
            true};
  }
};

/// Partial states of rows: normalised output and lse in the accumulator's precision, without sink
/// logits, at (batch * splits + split, ordinal of the token in its row set, head).
template <class Accumulator> struct store_state {
  tensor<Accumulator> out, lse;
  int splits;

  struct destination {
    using value = Accumulator;
    Accumulator* out;
    Accumulator factor;
    bool wanted;
    KOKKOS_INLINE_FUNCTION Accumulator finished(int, Accumulator sum) const {
      return factor == 0 ? Accumulator(0) : sum * factor;
    }
  };
  KOKKOS_INLINE_FUNCTION destination row(const tile_rows& rows, int r, int split,
                                         Accumulator maximum, Accumulator sum) const {
    const row_result<Accumulator> x = finish_row(maximum, sum);
    const std::int64_t batch = std::int64_t(rows.batch) * splits + split, token = rows.ordinal(r);
    *lse.row(batch, token, rows.head(r)) = x.lse;
    return {out.row(batch, token, rows.head(r)), x.factor, true};
  }
};

}  // namespace delta_attention::kernel
