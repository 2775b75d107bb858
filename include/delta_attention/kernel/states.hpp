#pragma once

#include <delta_attention/kernel/epilogue.hpp>

#include <algorithm>

namespace delta_attention::kernel {

/// Memory for the partial states of a row set: `splits` of them a row.
template <class Exec, class Accumulator>
struct state_memory {
  using view = Kokkos::View<Accumulator*, typename Exec::memory_space>;

  view memory;
  tensor<Accumulator> out, lse;
  int splits;

  state_memory(const Exec& exec, std::int64_t batches, std::int64_t rows, std::int64_t heads, int dv, int parts)
      : splits(parts) {
    const std::int64_t count = batches * parts * rows * heads;
    memory = view(Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, "delta_attention::states"), count * (dv + 1));
    out = {memory.data(), batches * parts, rows, heads, dv, rows * heads * dv, heads * dv, dv};
    lse = {memory.data() + count * dv, batches * parts, rows, heads, 1, rows * heads, heads, 1};
  }
  store_state<Accumulator> epilogue() const { return {out, lse, splits}; }
};

/// Runs f(batch, row, head, team) once for every row; the channels of a row are for the lanes of a team.
template <class Exec, class F>
void for_each_row(const std::string& label, const Exec& exec, std::int64_t batches, std::int64_t rows,
                  std::int64_t heads, const F& f) {
  if (batches * rows * heads == 0) return;
  using policy = Kokkos::TeamPolicy<Exec>;
  using member = typename policy::member_type;
  const int lanes = std::min(32, policy::vector_length_max());
  Kokkos::parallel_for(
      label, policy(exec, static_cast<int>(batches * rows * heads), 1, lanes), KOKKOS_LAMBDA(const member& team) {
        const std::int64_t i = team.league_rank();
        f(int(i / (rows * heads)), i / heads % rows, int(i % heads), team);
      });
}

/// Weights that merge two states by their lse: exp(lse_x - lse), where exp(lse) = exp(lse_a) + exp(lse_b). Two states
/// that saw nothing merge to one.
template <class T>
struct merge_weights {
  T a, b, lse;

  KOKKOS_INLINE_FUNCTION merge_weights(T lse_a, T lse_b) {
    const T top = lse_a > lse_b ? lse_a : lse_b;
    if (top == -Kokkos::Experimental::infinity_v<T>) {
      a = b = 0;
      lse = top;
    } else {
      const T x = Kokkos::exp(lse_a - top), y = Kokkos::exp(lse_b - top);
      lse = top + Kokkos::log(x + y);
      a = x / (x + y);  // not exp(lse_a - lse), which would carry the rounding of lse
      b = y / (x + y);
    }
  }
};

/// Merges the splits of every row and stores it as output, with sink logits.
template <class Element>
struct merge_splits {
  using accumulator = accumulator_of<Element>;
  tensor<accumulator> states, lse;
  int splits;
  row_set rows;
  output<Element> to;

  template <class Member>
  KOKKOS_FUNCTION void operator()(int batch, std::int64_t row, int head, const Member& team) const {
    accumulator total = -Kokkos::Experimental::infinity_v<accumulator>;
    for (int s = 0; s < splits; ++s) total = merge_weights<accumulator>(total, *lse.row(first(batch) + s, row, head)).lse;
    row_result<accumulator> result{1, total};
    if (to.sink_logits.data != nullptr) result = with_sink(result, accumulator(*to.sink_logits.row(0, 0, head)));
    const std::int64_t token = rows.first + row * rows.step;
    Element* out = to.out.row(batch, token, head);
    Kokkos::parallel_for(Kokkos::TeamVectorRange(team, int(states.channels)), [&](int c) {
      accumulator sum = 0;
      for (int s = 0; s < splits; ++s) {
        const accumulator l = *lse.row(first(batch) + s, row, head);
        // An empty split's weight is 0, also where all are empty.
        if (l != -Kokkos::Experimental::infinity_v<accumulator>)
          sum += Kokkos::exp(l - total) * states.row(first(batch) + s, row, head)[c];
      }
      out[c] = Element(sum * result.factor);
    });
    if (to.lse.data != nullptr)
      Kokkos::single(Kokkos::PerTeam(team), [&] { *to.lse.row(batch, token, head) = result.lse; });
  }

 private:
  KOKKOS_FUNCTION std::int64_t first(int batch) const { return std::int64_t(batch) * splits; }
};

}  // namespace delta_attention::kernel
