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

/// All states of one row, merged. Every lane reads all their lses: it takes no longer than to
/// exchange what lanes find, and is simpler.
template <class T> class merged_states {
 public:
  KOKKOS_INLINE_FUNCTION merged_states(const row_states<T>& states, int batch, std::int64_t row,
                                       int head)
      : merged_states(states, batch, states.parts.place(0, row), head, states.parts.of(row)) {}

  KOKKOS_INLINE_FUNCTION T lse() const {
    return sum_ > 0 ? top_ + Kokkos::log(sum_) : sum_ == 0 ? nothing : sum_;
  }
  /// f(channel, its merged value), once for every channel.
  template <class Member, class F>
  KOKKOS_INLINE_FUNCTION void for_each_channel(const Member& team, const F& f) const {
    constexpr int lanes = 32, together = 4;
    const T scale = sum_ == 0 ? T(0) : T(1) / sum_;
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, lanes), [&](int lane) {
      for (int first = lane; first < channels_; first += lanes * together) {
        T merged[together] = {};
        for_each_step([&]<int Count>(int s, std::integral_constant<int, Count>) {
          T lse[Count], value[Count][together];
          for (int n = 0; n < Count; ++n) {
            lse[n] = lse_[(s + n) * lse_stride_];
            const T* from = out_ + (s + n) * out_stride_;
            for (int i = 0; i < together; ++i) {
              const int c = first + i * lanes;
              value[n][i] = from[c < channels_ ? c : first];
            }
          }
          for (int n = 0; n < Count; ++n) {
            const T share = weight(lse[n]) * scale;
            for (int i = 0; i < together; ++i) merged[i] += share * value[n][i];
          }
        });
        for (int i = 0; i < together; ++i)
          if (first + i * lanes < channels_) f(first + i * lanes, merged[i]);
      }
    });
  }

 private:
  static constexpr T nothing = -Kokkos::Experimental::infinity_v<T>;

  KOKKOS_INLINE_FUNCTION merged_states(const row_states<T>& states, int batch, std::int64_t first,
                                       int head, int count)
      : out_(states.out.row(batch, first, head)),
        lse_(states.lse.row(batch, first, head)),
        out_stride_(states.out.token_stride),
        lse_stride_(states.lse.token_stride),
        channels_(int(states.out.channels)),
        count_(count) {
    for (int s = 0; s < count_; ++s) {
      const T lse = lse_[s * lse_stride_];
      top_ = top_ < lse ? lse : top_;
    }
    for (int s = 0; s < count_; ++s) sum_ += weight(lse_[s * lse_stride_]);
  }
  // f(s, Count) for `Count` states from s on: all their loads are on their way before one is used.
  // A row over many keys has tens of states, and little else that hides a load's latency.
  template <class F> KOKKOS_INLINE_FUNCTION void for_each_step(const F& f) const {
    int s = 0;
    if constexpr (sizeof(T) == 4)  // more than registers hold of double
      for (; s + 8 <= count_; s += 8) f(s, std::integral_constant<int, 8>{});
    for (; s + 4 <= count_; s += 4) f(s, std::integral_constant<int, 4>{});
    for (; s < count_; ++s) f(s, std::integral_constant<int, 1>{});
  }
  // An empty state is zeros, and its weight 0, also where all are empty.
  KOKKOS_INLINE_FUNCTION T weight(T lse) const {
    return lse == nothing ? T(0) : Kokkos::exp(lse - top_);
  }

  const T *out_, *lse_;
  std::int64_t out_stride_, lse_stride_;
  int channels_, count_;
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
    const merged_states<accumulator> merged(states, batch, row, head);
    const row_result<accumulator> result =
        with_sink<accumulator>({1, merged.lse()}, to.sink_logit(head));
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
