#pragma once

#include <delta_attention/kernel/divisor.hpp>
#include <delta_attention/mask/mask.hpp>
#include <delta_attention/tensor/tensor.hpp>

#include <cstdint>

namespace delta_attention::kernel {

/// What one call attends to: tensors without their Views' types, sizes, and how scores are made.
template <class Element> struct problem {
  using accumulator = accumulator_of<Element>;

  tensor<const Element> q, k, v;
  std::int64_t query_offset = 0;
  accumulator scale = 1, softcap = 0;

  KOKKOS_FUNCTION int batches() const { return int(q.batches); }
  KOKKOS_FUNCTION int query_heads() const { return int(q.heads); }
  KOKKOS_FUNCTION int kv_heads() const { return int(k.heads); }
  KOKKOS_FUNCTION int group() const { return int(q.heads / k.heads); }
  KOKKOS_FUNCTION std::int64_t queries() const { return q.tokens; }
  KOKKOS_FUNCTION std::int64_t keys() const { return k.tokens; }
  KOKKOS_FUNCTION int head_size() const { return int(q.channels); }
  KOKKOS_FUNCTION int value_size() const { return int(v.channels); }
  mask::geometry geometry() const { return {q.batches, q.heads, q.tokens, k.tokens, query_offset}; }

  /// Queries, or their products with keys, are multiplied by this: then a product is the score over
  /// log 2 or, with a softcap c, over c.
  KOKKOS_FUNCTION accumulator query_factor() const {
    return softcap > 0 ? scale / softcap : scale * accumulator(1.4426950408889634);
  }
};

/// Where one call's results go, and the sink logits that join them last. `data` is null for what
/// nobody asked for.
template <class Element> struct output {
  tensor<Element> out;
  tensor<accumulator_of<Element>> lse;
  tensor<const float> sink_logits;  // one batch, one token

  /// The logit that joins the rows of a head; -infinity joins nothing.
  KOKKOS_FUNCTION accumulator_of<Element> sink_logit(int head) const {
    using accumulator = accumulator_of<Element>;
    return sink_logits.data == nullptr ? -Kokkos::Experimental::infinity_v<accumulator>
                                       : accumulator(*sink_logits.row(0, 0, head));
  }
};

/// The query tokens first, first + step, ... of a call, `count` of them.
struct row_set {
  std::int64_t first, step, count;
};

/// Rows of one tile: `count` rows of (token, head) of kv heads from `kv_head` on (one of them,
/// unless an atom takes several), tokens outermost, and `heads` query heads from `first_head` on,
/// which share the tile. Row 0 is head `first_head + shift` of the token with the ordinal
/// `first_ordinal` in the set.
struct tile_rows {
  int batch, kv_head, first_head, count, shift;
  divisor heads;
  std::int64_t first_ordinal;
  row_set set;
  std::int64_t query_offset;

  KOKKOS_FUNCTION std::int64_t ordinal(int r) const { return first_ordinal + (shift + r) / heads; }
  KOKKOS_FUNCTION std::int64_t token(int r) const { return set.first + ordinal(r) * set.step; }
  KOKKOS_FUNCTION int head(int r) const { return first_head + (shift + r) % heads; }
  KOKKOS_FUNCTION std::int64_t position(int r) const { return token(r) + query_offset; }
  /// The block that rows a <= r < b make for the mask.
  KOKKOS_FUNCTION mask::row_block block(int a, int b) const {
    return {batch, first_head, position(a), position((b < count ? b : count) - 1)};
  }
};

/// Where rows r, r + step, ... of a tile lie in x, one after the other, without a division for
/// each.
template <class T> class row_steps {
 public:
  KOKKOS_FUNCTION row_steps(const tensor<T>& x, const tile_rows& rows, int r, int step)
      : at_(x.row(rows.batch, rows.token(r), rows.head(r))),
        step_(step / rows.heads * rows.set.step * x.token_stride +
              step % rows.heads * x.head_stride),
        wrap_(rows.set.step * x.token_stride - rows.heads.value() * x.head_stride),
        head_(rows.head(r) - rows.first_head),
        more_heads_(step % rows.heads),
        heads_(rows.heads.value()) {}

  /// For a row that exists.
  KOKKOS_FUNCTION T* operator*() const { return at_; }
  KOKKOS_FUNCTION void operator++() {
    at_ += step_;
    head_ += more_heads_;
    if (head_ < heads_) return;
    head_ -= heads_;
    at_ += wrap_;
  }

 private:
  T* at_;
  std::int64_t step_, wrap_;
  int head_, more_heads_, heads_;
};

/// Keys of one turn of the loop; `seen` where every row of the tile sees all of them.
struct key_tile {
  mask::key_range keys;
  bool seen;
};

}  // namespace delta_attention::kernel
