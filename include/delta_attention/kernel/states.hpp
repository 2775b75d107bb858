#pragma once

#include <delta_attention/kernel/epilogue.hpp>
#include <delta_attention/kernel/schedule.hpp>

#include <algorithm>

namespace delta_attention::kernel {

/// Memory for the partial states of a row set: `splits` of them a row.
template <class Exec, class Accumulator> struct state_memory {
  using view = Kokkos::View<Accumulator*, typename Exec::memory_space>;

  view memory;
  tensor<Accumulator> out, lse;
  int splits;

  state_memory(const Exec& exec, std::int64_t batches, std::int64_t rows, std::int64_t heads,
               int dv, int parts)
      : splits(parts) {
    const std::int64_t count = batches * parts * rows * heads;
    memory = view(Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, "delta_attention::states"),
                  count * (dv + 1));
    out = {memory.data(), batches * parts, rows, heads, dv, rows * heads * dv, heads * dv, dv};
    lse = {memory.data() + count * dv, batches * parts, rows, heads, 1, rows * heads, heads, 1};
  }
  store_state<Accumulator> epilogue() const { return {out, lse, splits}; }
};

/// Runs f(batch, row, head, team) once for every row; the channels of a row are for the lanes of a
/// team.
template <class Exec, class F>
void for_each_row(const std::string& label, const Exec& exec, std::int64_t batches,
                  std::int64_t rows, std::int64_t heads, const F& f) {
  if (batches * rows * heads == 0) return;
  using policy = Kokkos::TeamPolicy<Exec>;
  using member = typename policy::member_type;
  const int lanes = std::min(32, policy::vector_length_max());
  const std::int64_t count = batches * rows * heads;
  Kokkos::parallel_for(
      label, policy(exec, league_size(count), 1, lanes), KOKKOS_LAMBDA(const member& team) {
        for (std::int64_t i = team.league_rank(); i < count; i += team.league_size())
          f(int(i / (rows * heads)), i / heads % rows, int(i % heads), team);
      });
}

/// Weights that merge two states by their lse: exp(lse_x - lse), where exp(lse) = exp(lse_a) +
/// exp(lse_b). Two states that saw nothing merge to one.
template <class T> struct merge_weights {
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
template <class Element> struct merge_splits {
  using accumulator = accumulator_of<Element>;
  tensor<accumulator> states, lse;
  int splits;
  row_set rows;
  output<Element> to;

  template <class Member>
  KOKKOS_FUNCTION void operator()(int batch, std::int64_t row, int head, const Member& team) const {
    constexpr accumulator nothing = -Kokkos::Experimental::infinity_v<accumulator>;
    const auto part = [&](int s) { return *lse.row(first(batch) + s, row, head); };
    accumulator top = nothing, sum = 0;
    for (int s = 0; s < splits; ++s) top = top < part(s) ? part(s) : top;
    // An empty split's weight is 0, also where all are empty.
    const auto weight = [&](int s) {
      return part(s) == nothing ? accumulator(0) : Kokkos::exp(part(s) - top);
    };
    for (int s = 0; s < splits; ++s) sum += weight(s);
    row_result<accumulator> result{1, sum > 0 ? top + Kokkos::log(sum) : sum == 0 ? nothing : sum};
    if (to.sink_logits.data != nullptr)
      result = with_sink(result, accumulator(*to.sink_logits.row(0, 0, head)));
    const std::int64_t token = rows.first + row * rows.step;
    Element* out = to.out.row(batch, token, head);
    Kokkos::parallel_for(Kokkos::TeamVectorRange(team, int(states.channels)), [&](int c) {
      accumulator merged = 0;
      for (int s = 0; s < splits; ++s)
        if (part(s) != nothing)
          merged += weight(s) / sum * states.row(first(batch) + s, row, head)[c];
      out[c] = Element(merged * result.factor);
    });
    if (to.lse.data != nullptr)
      Kokkos::single(Kokkos::PerTeam(team), [&] { *to.lse.row(batch, token, head) = result.lse; });
  }

 private:
  KOKKOS_FUNCTION std::int64_t first(int batch) const { return std::int64_t(batch) * splits; }
};

}  // namespace delta_attention::kernel
