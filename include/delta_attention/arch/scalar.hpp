#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>

#include <string>
#include <type_traits>

namespace delta_attention::arch {

/// The one-lane atom: every thread of a team carries one row, keys and values are read where they
/// lie. It compiles for every backend and element type and is the reference for the others, not
/// fast.
template <class Element, int TeamSize> class scalar_tile {
 public:
  using accumulator = accumulator_of<Element>;
  static constexpr int team_size = TeamSize, vector_length = 1, tile_rows = TeamSize,
                       panel_rows = 1, panel_step = TeamSize, tile_keys = 32, scratch_level = 1,
                       scratch_alignment = 64, largest_value_size = 256;
  static constexpr bool skips_keys = true, several_kv_heads = false, shares_cache = false;
  static constexpr int few_rows = tile_rows;
  static std::string description() { return "scalar (one row a thread)"; }
  using launch_bounds = Kokkos::LaunchBounds<>;

  /// Work items that keep all threads busy to the end.
  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return 4 * std::int64_t(exec.concurrency()) / team_size;
  }
  static constexpr std::size_t scratch_bytes(int, int) { return 0; }

  template <class Member>
  KOKKOS_FUNCTION scalar_tile(const Member& team, const kernel::problem<Element>& p)
      : lane_(team.team_rank()),
        head_size_(p.head_size()),
        value_size_(p.value_size()),
        factor_(p.query_factor()) {}

  KOKKOS_FUNCTION int first_panel() const { return lane_; }
  template <class Work> KOKKOS_FUNCTION const Work& keep(const Work& work) const { return work; }

  template <class Visible>
  KOKKOS_FUNCTION void load_queries(const kernel::problem<Element>& p,
                                    const kernel::tile_rows& rows, const kernel::key_tile&,
                                    const Visible&) {
    if (lane_ < rows.count) query_ = p.q.row(rows.batch, rows.token(lane_), rows.head(lane_));
    for (int c = 0; c < value_size_; ++c) output_[c] = 0;
    softmax_ = {row_value{kernel::no_maximum<accumulator>}, row_value{0}};
  }
  template <class Visible>
  KOKKOS_FUNCTION void stage(const kernel::problem<Element>& p, const kernel::tile_rows& rows,
                             const kernel::key_tile& tile, const kernel::key_tile&,
                             const Visible&) {
    const mask::key_range keys = tile_ = tile.keys;
    key_ = p.k.row(rows.batch, keys.begin, rows.kv_head);
    value_ = p.v.row(rows.batch, keys.begin, rows.kv_head);
    key_stride_ = p.k.token_stride;
    value_stride_ = p.v.token_stride;
  }

  struct row_value {
    accumulator x;
    friend KOKKOS_FUNCTION row_value operator-(row_value a, row_value b) { return {a.x - b.x}; }
    friend KOKKOS_FUNCTION row_value operator+(row_value a, row_value b) { return {a.x + b.x}; }
    friend KOKKOS_FUNCTION row_value operator*(row_value a, row_value b) { return {a.x * b.x}; }
    friend KOKKOS_FUNCTION row_value raised(row_value a, row_value b) {
      return {a.x < b.x ? b.x : a.x};
    }
    friend KOKKOS_FUNCTION row_value exp2(row_value a) { return {Kokkos::exp2(a.x)}; }
  };

  KOKKOS_FUNCTION void scores(int, mask::key_range keys) {
    maximum_ = for_each_key(keys, [&](std::int64_t j, accumulator) {
      const Element* k = key_ + (j - tile_.begin) * key_stride_;
      accumulator s = 0;
      for (int c = 0; c < head_size_; ++c)
        s += accumulator(query_[c]) * factor_ * accumulator(k[c]);
      return s;
    });
  }
  KOKKOS_FUNCTION void softcap(int, mask::key_range keys, accumulator c) {
    maximum_ = for_each_key(keys, [&](std::int64_t, accumulator s) {
      return c * accumulator(kernel::log2_e) * Kokkos::tanh(s);
    });
  }
  template <class Mask>
  KOKKOS_FUNCTION void hide(int panel, const kernel::tile_rows& rows, mask::key_range keys,
                            const Mask& m) {
    maximum_ = for_each_key(keys, [&](std::int64_t j, accumulator s) {
      return m.allows(rows.batch, rows.head(panel), rows.position(panel), j)
                 ? s
                 : -Kokkos::Experimental::infinity_v<accumulator>;
    });
  }
  KOKKOS_FUNCTION void weigh(int, mask::key_range keys) {
    factor_of_sums_ = softmax_.take(maximum_, [&](row_value reference) {
      accumulator sum = 0;
      for_each_key(keys, [&](std::int64_t, accumulator s) {
        const accumulator weight = Kokkos::exp2(s - reference.x);
        sum += weight;
        return weight;
      });
      return row_value{sum};
    });
  }
  KOKKOS_FUNCTION void weighted_sum(int, mask::key_range keys) {
    for (int c = 0; c < value_size_; ++c) output_[c] *= factor_of_sums_.x;
    for_each_key(keys, [&](std::int64_t j, accumulator weight) {
      const Element* v = value_ + (j - tile_.begin) * value_stride_;
      if (weight != 0)  // a hidden key's value may be anything
        for (int c = 0; c < value_size_; ++c) output_[c] += weight * accumulator(v[c]);
      return weight;
    });
  }

  template <class Epilogue>
  KOKKOS_FUNCTION void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) {
    if (lane_ >= rows.count) return;
    const auto to = epilogue.place(rows, lane_, split).finish(softmax_.maximum.x, softmax_.sum.x);
    if (to.out != nullptr)
      for (int c = 0; c < value_size_; ++c) to.store(c, output_[c]);
  }

 private:
  // Replaces each score by f(key, score); returns the largest.
  template <class F> KOKKOS_FUNCTION row_value for_each_key(mask::key_range keys, F&& f) {
    accumulator largest = -Kokkos::Experimental::infinity_v<accumulator>;
    for (std::int64_t j = keys.begin; j < keys.end; ++j) {
      accumulator& s = scores_[j - tile_.begin];
      s = f(j, s);
      largest = largest < s ? s : largest;
    }
    return {largest};
  }

  int lane_, head_size_, value_size_;
  accumulator factor_;
  const Element *query_ = nullptr, *key_ = nullptr, *value_ = nullptr;
  std::int64_t key_stride_ = 0, value_stride_ = 0;
  mask::key_range tile_{};
  kernel::online_softmax<row_value> softmax_{};
  row_value maximum_{}, factor_of_sums_{};  // of the tile's scores; for what was summed before
  accumulator scores_[tile_keys], output_[largest_value_size];
};

/// The family that every execution space and element type has.
struct scalar {
  static std::string description() { return scalar_tile<float, 1>::description(); }

  template <class Exec>
  static constexpr int team_size =
      Kokkos::SpaceAccessibility<Exec, Kokkos::HostSpace>::accessible ? 1 : 64;

  template <class Exec, class, class Element, class F>
  static void with_tile(const kernel::problem<Element>&, const F& f) {
    f(std::type_identity<scalar_tile<Element, team_size<Exec>>>{});
  }
  template <class Exec, class Element, class F>
  static void with_stream(const kernel::problem<Element>&, const F& f) {
    f(std::type_identity<scalar_tile<Element, team_size<Exec>>>{});
  }

  template <class Exec, class Element> static constexpr bool covers = true;
};

}  // namespace delta_attention::arch
