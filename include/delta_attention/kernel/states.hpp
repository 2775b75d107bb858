#pragma once

#include <delta_attention/kernel/epilogue.hpp>
#include <delta_attention/kernel/execution.hpp>
#include <delta_attention/kernel/kokkos_version.hpp>
#include <delta_attention/kernel/schedule.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace delta_attention::kernel {

/// Partial states of a row set, at (batch, their place, head).
template <class Accumulator> struct row_states {
  tensor<Accumulator> out, lse;
  key_parts parts;

  template <class Run, class Element>
  static row_states take(Run& run, const problem<Element>& p, const key_parts& parts) {
    const std::int64_t batches = p.batches(), places = parts.states(), heads = p.query_heads(),
                       dv = p.value_size(), count = batches * places * heads;
    return {{run.template take<Accumulator>(count * dv), batches, places, heads, dv,
             places * heads * dv, heads * dv, dv},
            {run.template take<Accumulator>(count), batches, places, heads, 1, places * heads,
             heads, 1},
            parts};
  }
  store_state<Accumulator> epilogue() const { return {out, lse, parts}; }
  /// The outputs of the first parts, as (batch, row, head, channel), where all rows have all parts.
  tensor<Accumulator> first() const {
    tensor<Accumulator> t = out;
    t.tokens = parts.rows;
    t.token_stride *= parts.count;
    return t;
  }
};

/// Runs f(batch, row, head, team) once for every row; the channels of a row are for the lanes of a
/// team's thread.
template <class Run, class F>
void for_each_row(const std::string& label, const Run& run, std::int64_t batches, std::int64_t rows,
                  std::int64_t heads, const F& f) {
  if (batches * rows * heads == 0) return;
  if constexpr (Run::launches) {
    // A block of a GPU: two threads, which is a wave on AMD, where Kokkos finds no size of a block
    // with less. Without bounds AMD's compiler leaves room for blocks of 1024, and spills.
    constexpr int block = 64;
    using policy = Kokkos::TeamPolicy<typename Run::space, Kokkos::LaunchBounds<block, 1>>;
    using member = typename policy::member_type;
    const bool is_host = policy::vector_length_max() > block;
    const int lanes = std::min(32, policy::vector_length_max()),
              threads = is_host ? 1 : block / lanes;
    const std::int64_t count = batches * rows * heads, teams = (count + threads - 1) / threads;
    const bool is_short = count <= std::numeric_limits<std::uint32_t>::max();
    Kokkos::parallel_for(
        label, by_argument(policy(run.instance(), league_size(teams, lanes), threads, lanes)),
        KOKKOS_LAMBDA(const member& team) {
          const std::int64_t step = std::int64_t(team.league_size()) * threads;
          for (std::int64_t i = std::int64_t(team.league_rank()) * threads + team.team_rank();
               i < count; i += step) {
            // A GPU has no instruction for divisions; those of 64 bits are long.
            const std::int64_t n = is_short ? std::uint32_t(i) / std::uint32_t(heads) : i / heads;
            const std::int64_t batch = is_short ? std::uint32_t(n) / std::uint32_t(rows) : n / rows;
            f(int(batch), n - batch * rows, int(i - n * heads), team);
          }
        });
  }
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

/// All states of one row, merged.
template <class T> class merged_states {
 public:
  template <class Member>
  KOKKOS_INLINE_FUNCTION merged_states(const Member& team, const row_states<T>& states, int batch,
                                       std::int64_t row, int head)
      : states_(states),
        first_(states.parts.place(0, row)),
        batch_(batch),
        head_(head),
        count_(states.parts.of(row)) {
    const auto parts = Kokkos::ThreadVectorRange(team, count_);
    Kokkos::parallel_reduce(
        parts, [&](int s, T& top) { top = top < part(s) ? part(s) : top; }, Kokkos::Max<T>(top_));
    Kokkos::parallel_reduce(parts, [&](int s, T& sum) { sum += weight(part(s)); }, sum_);
  }
  KOKKOS_INLINE_FUNCTION T lse() const {
    return sum_ > 0 ? top_ + Kokkos::log(sum_) : sum_ == 0 ? nothing : sum_;
  }
  /// f(channel, its merged value), once for every channel.
  template <class Member, class F>
  KOKKOS_INLINE_FUNCTION void for_each_channel(const Member& team, const F& f) const {
    constexpr int lanes = 32, together = 4;
    const int channels = int(states_.out.channels), splits = count_;
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, lanes), [&](int lane) {
      for (int first = lane; first < channels; first += lanes * together) {
        T merged[together] = {};
        // All loads of `Count` states are on their way before one is used: a few rows over many
        // keys have tens of states, and little else that hides a load's latency.
        const auto add = [&]<int Count>(int s, std::integral_constant<int, Count>) {
          T part_of[Count], value[Count][together];
          for (int n = 0; n < Count; ++n) {
            part_of[n] = part(s + n);
            const T* from = states_.out.row(batch_, first_ + s + n, head_);
            for (int i = 0; i < together; ++i) {
              const int c = first + i * lanes;
              value[n][i] = from[c < channels ? c : first];
            }
          }
          for (int n = 0; n < Count; ++n) {  // an empty state is zeros
            const T share = sum_ == 0 ? T(0) : weight(part_of[n]) / sum_;
            for (int i = 0; i < together; ++i) merged[i] += share * value[n][i];
          }
        };
        int s = 0;
        if constexpr (sizeof(T) == 4)  // more than registers hold of double
          for (; s + 8 <= splits; s += 8) add(s, std::integral_constant<int, 8>{});
        for (; s + 4 <= splits; s += 4) add(s, std::integral_constant<int, 4>{});
        for (; s < splits; ++s) add(s, std::integral_constant<int, 1>{});
        for (int i = 0; i < together; ++i)
          if (first + i * lanes < channels) f(first + i * lanes, merged[i]);
      }
    });
  }

 private:
  static constexpr T nothing = -Kokkos::Experimental::infinity_v<T>;
  KOKKOS_INLINE_FUNCTION T part(int s) const { return *states_.lse.row(batch_, first_ + s, head_); }
  // An empty state's is 0, also where all are empty.
  KOKKOS_INLINE_FUNCTION T weight(T part) const {
    return part == nothing ? T(0) : Kokkos::exp(part - top_);
  }

  const row_states<T>& states_;
  std::int64_t first_;
  int batch_, head_, count_;
  T top_ = nothing, sum_ = 0;
};

/// Merges the states of every row and stores it as output, with sink logits.
template <class Element> struct store_merged {
  using accumulator = accumulator_of<Element>;
  row_states<accumulator> states;
  row_set rows;
  output<Element> to;

  template <class Member>
  KOKKOS_FUNCTION void operator()(int batch, std::int64_t row, int head, const Member& team) const {
    const merged_states<accumulator> merged(team, states, batch, row, head);
    row_result<accumulator> result{1, merged.lse()};
    if (to.sink_logits.data != nullptr)
      result = with_sink(result, accumulator(*to.sink_logits.row(0, 0, head)));
    const std::int64_t token = rows.first + row * rows.step;
    Element* out = to.out.row(batch, token, head);
    merged.for_each_channel(team,
                            [&](int c, accumulator x) { out[c] = Element(x * result.factor); });
    if (to.lse.data != nullptr)
      Kokkos::single(Kokkos::PerThread(team),
                     [&] { *to.lse.row(batch, token, head) = result.lse; });
  }
};

}  // namespace delta_attention::kernel
