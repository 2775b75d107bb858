#pragma once

#include <delta_attention/arch/vector.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
#include <delta_attention/arch/row_panel.hpp>
#include <delta_attention/arch/simd_stream.hpp>

#include <algorithm>
#include <string>

namespace delta_attention::arch {

/// Sizes of a host thread's tile, by vector width; measured in docs/performance.md.
struct simd_shape {
  int broadcasts;   // keys, or channels, that one fragment holds
  int vectors;      // and its rows, in vectors
  int panels, keys;
};
constexpr simd_shape simd_tile_shape() {
  if (vector_width == 16) return {8, 2, 16, 128};
  return {4, 2, 16, 128};
}

/// Many rows on the host. The rows of a panel lie in vector lanes, keys and channels are broadcast:
/// S^T = K Q^T and O^T += V^T P^T are one and the same product. A thread packs keys and values of a tile into its L2
/// once and lets all panels use them; the scores of a panel stay in L1.
template <class Element>
class simd_tile {
  static constexpr simd_shape shape = simd_tile_shape();
  static constexpr int R = shape.broadcasts, N = shape.vectors;
  using panel_type = row_panel<N>;

 public:
  using accumulator = float;
  using row_values = typename panel_type::row_values;
  static constexpr int team_size = 1, panel_rows = panel_type::rows, panel_step = 1, tile_keys = shape.keys,
                       tile_rows = shape.panels * panel_rows;

  static constexpr std::size_t scratch_bytes(int d, int dv) { return layout(d, dv).bytes; }

  template <class Member>
  simd_tile(const Member& team, int d, int dv) : d_(d), dv_(dv) {
    const layout at(d, dv);
    auto* memory = static_cast<char*>(team.team_scratch(1).get_shmem_aligned(at.bytes, 64));
    const auto place = [&](std::size_t floats) { return reinterpret_cast<float*>(memory) + floats; };
    queries_ = place(at.queries);
    outputs_ = place(at.outputs);
    keys_ = place(at.keys);
    values_ = place(at.values);
    panel_.scores = place(at.scores);
    statistics_ = reinterpret_cast<kernel::online_softmax<row_values>*>(place(at.statistics));
    positions_ = reinterpret_cast<std::int64_t*>(place(at.positions));
    heads_ = reinterpret_cast<int*>(place(at.heads));
  }

  int first_panel() const { return 0; }

  void load_queries(const kernel::problem<Element>& p, const kernel::tile_rows& rows) {
    const float factor = p.query_factor();
    for (int panel = 0; panel * panel_rows < rows.count; ++panel) {
      panel_type::locate(rows, panel, positions_ + panel * panel_rows, heads_ + panel * panel_rows);
      const Element* source[panel_rows];
      for (int i = 0; i < panel_rows; ++i) {
        const int r = std::min(panel * panel_rows + i, rows.count - 1);
        source[i] = p.q.row(rows.batch, rows.token(r), rows.head(r));
      }
      float* to = queries(panel);
      for (int c = 0; c < d_; c += 4)
        for (int i = 0; i < panel_rows; i += 4) {
          vector4 m[4] = {load4(source[i] + c), load4(source[i + 1] + c), load4(source[i + 2] + c),
                          load4(source[i + 3] + c)};
          transpose4(m);
          DELTA_ATTENTION_UNROLL for (int x = 0; x < 4; ++x) save4(to + (c + x) * panel_rows + i, m[x] * factor);
        }
      std::fill_n(outputs(panel), std::size_t(dv_) * panel_rows, 0.f);
      statistics_[panel] = {row_values::all(-std::numeric_limits<float>::infinity()), row_values::all(0.f)};
    }
  }

  template <class Seen>
  void stage(const kernel::problem<Element>& p, const kernel::tile_rows& rows, mask::key_range keys, const Seen& seen) {
    tile_ = keys;
    const int n = int(keys.size());
    const Element* k = p.k.row(rows.batch, keys.begin, rows.kv_head);
    for (int j = 0; j < n; ++j)
      for (int c = 0; c < d_; c += 8) convert<8>(keys_ + j * d_ + c, k + j * p.k.token_stride + c);
    const Element* v = p.v.row(rows.batch, keys.begin, rows.kv_head);
    for (int j = 0; j < n; ++j) pack_value(v + j * p.v.token_stride, j);
    // A weight 0 times a NaN is a NaN: values that are not finite count only where some row sees them.
    for (int j = 0; j < n; ++j)
      if (!finite_[j] && !seen(keys.begin + j))
        for (int c = 0; c < dv_; c += R) std::fill_n(values_ + (c * value_keys + j * R), R, 0.f);
  }

  row_values scores(int panel, mask::key_range keys) {
    row_values largest = row_values::all(-std::numeric_limits<float>::infinity());
    const int begin = int(keys.begin - tile_.begin), n = int(keys.size());
    for (int j = 0; j < n; j += R) {
      fragment<R, N> s;
      s.clear();
      s.multiply_add(keys_ + (begin + j) * d_, d_, 1, queries(panel), d_);
      const int left = n - j;
      DELTA_ATTENTION_UNROLL for (int r = 0; r < R; ++r)
        if (r < left)
          DELTA_ATTENTION_UNROLL for (int i = 0; i < N; ++i) {
            largest.v[i] = max(largest.v[i], s.v[r][i]);
            save(panel_.scores + (j + r) * panel_rows + i * vector_width, s.v[r][i]);
          }
    }
    return largest;
  }
  row_values softcap(int, mask::key_range keys, float c) { return panel_.softcap(keys, c); }
  template <class Mask>
  row_values hide(int panel, const kernel::tile_rows& rows, mask::key_range keys, const Mask& m) {
    return panel_.hide(rows, rows.block(panel * panel_rows, (panel + 1) * panel_rows), keys,
                       positions_ + panel * panel_rows, heads_ + panel * panel_rows, m);
  }
  row_values exponentials(int, mask::key_range keys, const row_values& reference) {
    return panel_.exponentials(keys, reference);
  }
  void weighted_sum(int panel, mask::key_range keys, const row_values& factor) {
    const float* values = values_ + (keys.begin - tile_.begin) * R;
    const bool rescale = !factor.all_are(1.f);
    float* output = outputs(panel);
    for (int c = 0; c < dv_; c += R) {
      fragment<R, N> o;
      float* row = output + c * panel_rows;
      DELTA_ATTENTION_UNROLL for (int r = 0; r < R; ++r)
        DELTA_ATTENTION_UNROLL for (int i = 0; i < N; ++i) o.v[r][i] = load(row + r * panel_rows + i * vector_width);
      if (rescale)
        DELTA_ATTENTION_UNROLL for (int r = 0; r < R; ++r)
          DELTA_ATTENTION_UNROLL for (int i = 0; i < N; ++i) o.v[r][i] *= factor.v[i];
      o.multiply_add(values + std::ptrdiff_t(c) * value_keys, 1, R, panel_.scores, int(keys.size()));
      DELTA_ATTENTION_UNROLL for (int r = 0; r < R; ++r)
        DELTA_ATTENTION_UNROLL for (int i = 0; i < N; ++i) save(row + r * panel_rows + i * vector_width, o.v[r][i]);
    }
  }
  kernel::online_softmax<row_values>& statistics(int panel) { return statistics_[panel]; }

  template <class Epilogue>
  void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) const {
    for (int r0 = 0; r0 < rows.count; r0 += 4) {
      const int panel = r0 / panel_rows, lane = r0 % panel_rows, n = std::min(4, rows.count - r0);
      float maximum[panel_rows], sum[panel_rows];
      statistics_[panel].maximum.to(maximum);
      statistics_[panel].sum.to(sum);
      using destination = decltype(epilogue.row(rows, 0, 0, 0.f, 0.f));
      destination to[4];
      for (int i = 0; i < n; ++i) to[i] = epilogue.row(rows, r0 + i, split, maximum[lane + i], sum[lane + i]);
      const float* from = outputs(panel) + lane;
      alignas(64) float row[4][64];
      for (int c0 = 0; c0 < dv_; c0 += 64) {
        const int channels = std::min(64, dv_ - c0);
        for (int c = 0; c < channels; c += 4) {
          vector4 m[4];
          DELTA_ATTENTION_UNROLL for (int x = 0; x < 4; ++x) m[x] = load4(from + (c0 + c + x) * panel_rows);
          transpose4(m);
          DELTA_ATTENTION_UNROLL for (int x = 0; x < 4; ++x) save4(row[x] + c, m[x]);
        }
        for (int i = 0; i < n; ++i)
          if (to[i].wanted)
            for (int c = 0; c < channels; ++c) to[i].put(c0 + c, row[i][c]);
      }
    }
  }

 private:
  // Values lie as [channels / R][key][R]; the padding keeps channel groups out of each other's cache sets.
  static constexpr int value_keys = tile_keys + 4;

  struct layout {  // in floats, each part on a cache line of its own
    std::size_t queries, outputs, keys, values, scores, statistics, positions, heads, bytes;

    constexpr layout(int d, int dv) {
      std::size_t end = 0;
      const auto part = [&](std::size_t floats) {
        const std::size_t begin = end;
        end += (floats + 15) / 16 * 16;
        return begin;
      };
      queries = part(std::size_t(tile_rows) * d);
      outputs = part(std::size_t(tile_rows) * dv);
      keys = part(std::size_t(tile_keys + R) * d);  // the last fragment of a tile may reach over its end
      values = part(std::size_t(value_keys) * dv);
      scores = part(std::size_t(tile_keys) * panel_rows);
      statistics = part(shape.panels * sizeof(kernel::online_softmax<row_values>) / sizeof(float));
      positions = part(tile_rows * sizeof(std::int64_t) / sizeof(float));
      heads = part(tile_rows);
      bytes = end * sizeof(float);
    }
  };

  float* queries(int panel) const { return queries_ + std::size_t(panel) * panel_rows * d_; }
  float* outputs(int panel) const { return outputs_ + std::size_t(panel) * panel_rows * dv_; }

  DELTA_ATTENTION_INLINE void pack_value(const Element* v, int j) {
    float check[8] = {};
    for (int c = 0; c < dv_; c += 8) {
      float* to = values_ + c * value_keys + j * R;
      float x[8];
      convert<8>(x, v + c);
      DELTA_ATTENTION_UNROLL for (int i = 0; i < 8; ++i) check[i] += x[i] * 0.f;
      DELTA_ATTENTION_UNROLL for (int i = 0; i < 8; i += R) __builtin_memcpy(to + i * value_keys, x + i, R * sizeof(float));
    }
    bool finite = true;
    DELTA_ATTENTION_UNROLL for (int i = 0; i < 8; ++i) finite = finite & (check[i] == 0.f);
    finite_[j] = finite;
  }

  int d_, dv_;
  mask::key_range tile_{};
  float *queries_, *outputs_, *keys_, *values_;
  panel_type panel_{};
  kernel::online_softmax<row_values>* statistics_;
  std::int64_t* positions_;
  int* heads_;
  bool finite_[tile_keys] = {};
};

/// Vectors of the host's processor, for every element type but double.
struct simd {
  static std::string description() { return "simd (" + std::to_string(vector_width) + " floats a vector)"; }
  template <class, class Element>
  using tile = simd_tile<Element>;
  template <class, class Element>
  using stream = simd_stream<Element>;

  template <class Exec, class Element>
  static constexpr bool covers =
      Kokkos::SpaceAccessibility<Exec, Kokkos::HostSpace>::accessible && !std::is_same_v<Element, double>;
};

}  // namespace delta_attention::arch
#endif
