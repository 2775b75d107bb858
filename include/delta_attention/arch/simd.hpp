#pragma once

#include <delta_attention/arch/vector_elements.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
#include <delta_attention/arch/row_tile.hpp>
#include <delta_attention/arch/simd_stream.hpp>

#include <algorithm>
#include <limits>
#include <string>

namespace delta_attention::arch {

/// Sizes of a host thread's tile.
struct simd_shape {
  int broadcasts;  // keys, or channels, that one fragment holds
  int vectors;     // and its rows, in vectors
  int panels, keys;
};
/// The best measured of eight and sixteen floats (docs/performance.md). On 16 registers twelve sums
/// are more than are under way at once, and eight just as many. But a panel of 24 rows would
/// straddle blocks, whose rows are a multiple of 16; and a Zen 3 waits where more than eight
/// vectors are stored one behind the other, as a fragment's are. (GCC takes a Zen 4
/// whose AVX-512 is hidden for one, but that has GFNI.)
template <class Mask> constexpr simd_shape simd_tile_shape() {
#if defined(__znver3__) && !defined(__GFNI__)
  constexpr bool few_stores = true;
#else
  constexpr bool few_stores = false;
#endif
  if (vector_width == 16) return {8, 2, 16, 128};
  if (mask::has_row_blocks<Mask>()) return {4, 2, 32, 128};
  if (few_stores) return {4, 2, 24, 128};
  return {4, 3, 16, 128};
}

/// Many rows on the host. The rows of a panel lie in vector lanes, keys and channels are broadcast:
/// S^T = K Q^T and O^T += V^T P^T are one and the same product. A thread packs keys and values of a
/// tile into its L2 once and lets all panels use them; the scores of a panel stay in L1.
template <class Element, simd_shape Shape> class simd_tile {
  static constexpr int R = Shape.broadcasts, N = Shape.vectors;
  using rows_type = row_tile<N, Shape.panels>;
  using panel_type = typename rows_type::panel_type;

 public:
  using accumulator = float;
  using row_values = typename panel_type::row_values;
  static constexpr int team_size = 1, vector_length = 1, panel_rows = panel_type::rows,
                       panel_step = 1, tile_keys = Shape.keys, tile_rows = rows_type::rows,
                       scratch_level = 1, scratch_alignment = 64;
  static constexpr bool skips_keys = true, several_kv_heads = false, shares_cache = false;
  static std::string description() { return simd_description(); }
  using launch_bounds = Kokkos::LaunchBounds<>;

  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return exec.concurrency();
  }
  static constexpr std::size_t scratch_bytes(int d, int dv) { return layout(d, dv).bytes; }

  template <class Member>
  simd_tile(const Member& team, const kernel::problem<Element>& p)
      : simd_tile(p, static_cast<float*>(team.team_scratch(1).get_shmem_aligned(
                         scratch_bytes(p.head_size(), p.value_size()), 64))) {}

  int first_panel() const { return 0; }
  template <class Work> const Work& keep(const Work& work) const { return work; }

  template <class Visible>
  void load_queries(const kernel::problem<Element>& p, const kernel::tile_rows& rows,
                    const kernel::key_tile&, const Visible&) {
    pack_queries(p, rows);
  }

  template <class Visible>
  void stage(const kernel::problem<Element>& p, const kernel::tile_rows& rows,
             const kernel::key_tile& tile, const kernel::key_tile& following,
             const Visible& visible) {
    tile_ = tile.keys;
    pack_tile(p, rows);
    following_ = {p, rows, following.keys};
    // A weight 0 times a NaN is a NaN: values that are not finite count only where some row sees
    // them.
    const int n = int(tile_.size());
    for (int j = 0; j < n; ++j)
      if (!finite_[j] && !visible.some_row_sees(tile_.begin + j))
        for (int c = 0; c < dv_; c += R) std::fill_n(values_ + (c * value_keys + j * R), R, 0.f);
  }

  void scores(int panel, mask::key_range keys) {
    row_values largest = row_values::all(-std::numeric_limits<float>::infinity());
    const int begin = int(keys.begin - tile_.begin), end = int(keys.end - tile_.begin);
    for (int j = begin / R * R; j < end; j += R) {
      following_.ask_for_next();
      fragment<R, N> s;
      s.clear();
      s.multiply_add(keys_ + j * d_, queries(panel), d_);
      float* to = panel_.scores + (j - begin) * panel_rows;
      const auto take = [&](int r) __attribute__((always_inline)) {
        DELTA_ATTENTION_UNROLL
        for (int i = 0; i < N; ++i) {
          largest.v[i] = max(largest.v[i], s.v[r][i]);
          save(to + r * panel_rows + i * vector_width, s.v[r][i]);
        }
      };
      // The first and the last fragment may hold keys of others.
      const bool all = begin <= j && j + R <= end;
      if (all) {
        DELTA_ATTENTION_UNROLL
        for (int r = 0; r < R; ++r) take(r);
      } else {
        DELTA_ATTENTION_UNROLL
        for (int r = 0; r < R; ++r)
          if (begin <= j + r && j + r < end) take(r);
      }
    }
    maximum_ = largest;
  }
  void softcap(int, mask::key_range keys, float c) { maximum_ = panel_.softcap(keys, c); }
  template <class Mask>
  void hide(int panel, const kernel::tile_rows& rows, mask::key_range keys, const Mask& m) {
    maximum_ = rows_.hide(panel_, panel, rows, keys, m);
  }
  void weigh(int panel, mask::key_range keys) {
    factor_of_sums_ = rows_.statistics(panel).take(maximum_, [&](const row_values& reference) {
      return panel_.exponentials(keys, reference);
    });
  }
  void weighted_sum(int panel, mask::key_range keys) {
    const float* values = values_ + (keys.begin - tile_.begin) * R;
    const bool fresh = rows_.take_fresh(panel);
    if (!fresh && !factor_of_sums_.all_are(1.f)) rows_.rescale(panel, factor_of_sums_);
    float* output = rows_.outputs(panel);
    for (int c = 0; c < dv_; c += R) {
      fragment<R, N> o;
      if (fresh)
        o.clear();
      else
        o.from(output + c * panel_rows);
      o.multiply_add(values + std::ptrdiff_t(c) * value_keys, panel_.scores, int(keys.size()));
      o.to(output + c * panel_rows);
    }
  }

  template <class Epilogue>
  void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) const {
    rows_.store(rows, split, dv_, epilogue);
  }

 private:
  // Keys lie as [keys / R][channel][R], so that a fragment's broadcasts stand side by side; values
  // likewise, as [channels / R][key][R], where the padding keeps channel groups out of each other's
  // cache sets.
  static constexpr int value_keys = tile_keys + 4;

  struct layout {  // in floats, each part on a cache line of its own
    std::size_t queries, keys, values, scores, rows, bytes;

    constexpr layout(int d, int dv) {
      std::size_t end = 0;
      const auto part = [&](std::size_t floats) {
        const std::size_t begin = end;
        end += (floats + 15) / 16 * 16;
        return begin;
      };
      queries = part(std::size_t(tile_rows) * d);
      keys = part(std::size_t(tile_keys) * d);
      values = part(std::size_t(value_keys) * dv);
      scores = part(std::size_t(tile_keys) * panel_rows);
      rows = part(rows_type::floats(dv));
      bytes = end * sizeof(float);
    }
  };

  simd_tile(const kernel::problem<Element>& p, float* memory)
      : d_(p.head_size()), dv_(p.value_size()), rows_(memory + layout(d_, dv_).rows, dv_) {
    const layout at(d_, dv_);
    queries_ = memory + at.queries;
    keys_ = memory + at.keys;
    values_ = memory + at.values;
    panel_.scores = memory + at.scores;
  }

  float* queries(int panel) const { return queries_ + std::size_t(panel) * panel_rows * d_; }

  // pack_queries and pack_tile do not know the mask: they are compiled once for all of a shape.
  void pack_queries(const kernel::problem<Element>& p, const kernel::tile_rows& rows) {
    const float factor = p.query_factor();
    rows_.begin(rows, p.q, [&](int panel, const auto& source) {
      float* to = queries(panel);
      for (int i = 0; i < panel_rows; i += vector_width)
        for_each_vector<Element>(d_, [&](int c, auto count, auto load_channels) {
          vector m[vector_width];
          DELTA_ATTENTION_UNROLL
          for (int x = 0; x < vector_width; ++x) m[x] = load_channels(source[i + x] + c);
          transpose(m);
          DELTA_ATTENTION_UNROLL
          for (int x = 0; x < vector_width; ++x)
            if (x < count) save(to + (c + x) * panel_rows + i, m[x] * factor);
        });
    });
  }
  void pack_tile(const kernel::problem<Element>& p, const kernel::tile_rows& rows) {
    const int n = int(tile_.size());
    const Element* k = p.k.row(rows.batch, tile_.begin, rows.kv_head);
    for (int j = 0; j < n; j += R) pack_keys(k, p.k.token_stride, j, n);
    const Element* v = p.v.row(rows.batch, tile_.begin, rows.kv_head);
    for (int j = 0; j < n; j += values_at_once) pack_values(v, p.v.token_stride, j, n);
  }

  // R keys from the j-th on; beyond the last key it is repeated.
  void pack_keys(const Element* k, std::int64_t stride, int j, int n) {
    const Element* row[R];
    for (int i = 0; i < R; ++i) row[i] = k + std::min(j + i, n - 1) * stride;
    float* to = keys_ + j * d_;
    for_each_vector<Element>(d_, [&](int c, auto count, auto load_channels) {
      vector m[R];
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < R; ++i) m[i] = load_channels(row[i] + c);
      transpose(m);
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < R; ++i)
        if (i * vector_width < count * R) save(to + c * R + i * vector_width, m[i]);
    });
  }
  // values_at_once values from the j-th on; beyond the last it is repeated. Each brings R channels
  // to a whole vector.
  static constexpr int values_at_once = vector_width / R;
  static_assert(tile_keys % values_at_once == 0);
  DELTA_ATTENTION_INLINE void pack_values(const Element* v, std::int64_t stride, int j, int n) {
    const Element* row[values_at_once];
    for (int i = 0; i < values_at_once; ++i) row[i] = v + std::min(j + i, n - 1) * stride;
    vector check[values_at_once] = {};
    for_each_vector<Element>(dv_, [&](int c, auto count, auto load_channels) {
      vector m[values_at_once];
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < values_at_once; ++i) {
        m[i] = load_channels(row[i] + c);
        check[i] += m[i] * 0.f;
      }
      exchange_parts(m);
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < values_at_once; ++i)
        if (i * R < count) save(values_ + (c + i * R) * value_keys + j * R, m[i]);
    });
    for (int i = 0; i < values_at_once; ++i)
      finite_[j + i] = all_bits_are_zero(check[i]);  // what is not zero is a NaN
  }

  int d_, dv_;
  mask::key_range tile_{};
  following_tile<Element> following_{};
  float *queries_, *keys_, *values_;
  panel_type panel_{};
  rows_type rows_;
  row_values maximum_, factor_of_sums_;  // of the tile's scores; for what was summed before
  bool finite_[tile_keys] = {};
};

/// Vectors of the host's processor, for every element type but double.
struct simd {
  static std::string description() { return simd_description(); }
  template <class, class Mask, class Element, class F>
  static void with_tile(const kernel::problem<Element>&, const F& f) {
    f(std::type_identity<simd_tile<Element, simd_tile_shape<Mask>()>>{});
  }
  template <class, class Element, class F>
  static void with_stream(const kernel::problem<Element>&, const F& f) {
    f(std::type_identity<simd_stream<Element>>{});
  }

  template <class Exec, class Element>
  static constexpr bool covers = Kokkos::SpaceAccessibility<Exec, Kokkos::HostSpace>::accessible &&
                                 !std::is_same_v<Element, double>;
};

}  // namespace delta_attention::arch
#endif
