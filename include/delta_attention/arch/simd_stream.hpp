#pragma once

#include <delta_attention/arch/vector.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
#include <delta_attention/arch/row_panel.hpp>
#include <delta_attention/kernel/problem.hpp>

#include <algorithm>

namespace delta_attention::arch {

/// Few rows on the host, as in decoding: one panel, whose keys and values are read once, where they
/// lie, so that memory bandwidth is the limit. Channels lie in vector lanes for both products;
/// scores are kept rows in lanes as ever.
template <class Element> class simd_stream {
  using panel_type = row_panel<1>;

 public:
  using accumulator = float;
  using row_values = panel_type::row_values;
  static constexpr int team_size = 1, panel_rows = panel_type::rows, panel_step = 1, tile_keys = 64,
                       tile_rows = panel_rows;

  static constexpr std::size_t scratch_bytes(int d, int dv) {
    return (std::size_t(tile_rows) * (padded(d) + padded(dv)) +
            std::size_t(tile_keys) * panel_rows) *
           sizeof(float);
  }

  template <class Member> simd_stream(const Member& team, int d, int dv) : d_(d), dv_(dv) {
    queries_ =
        static_cast<float*>(team.team_scratch(1).get_shmem_aligned(scratch_bytes(d, dv), 64));
    outputs_ = queries_ + tile_rows * padded(d);
    panel_.scores = outputs_ + tile_rows * padded(dv);
  }

  int first_panel() const { return 0; }

  void load_queries(const kernel::problem<Element>& p, const kernel::tile_rows& rows) {
    rows_ = (rows.count + row_step - 1) / row_step * row_step;
    std::fill_n(queries_, std::size_t(rows_) * padded(d_), 0.f);
    std::fill_n(outputs_, std::size_t(rows_) * padded(dv_), 0.f);
    for (int r = 0; r < rows.count; ++r) {
      const Element* from = p.q.row(rows.batch, rows.token(r), rows.head(r));
      for (int c = 0; c < d_; ++c) queries_[r * padded(d_) + c] = float(from[c]) * p.query_factor();
    }
    panel_.locate(rows, 0, positions_, heads_);
    softmax_ = {row_values::all(-std::numeric_limits<float>::infinity()), row_values::all(0.f)};
  }
  template <class Seen>
  void stage(const kernel::problem<Element>& p, const kernel::tile_rows& rows, mask::key_range keys,
             const Seen&) {
    tile_ = keys;
    key_ = p.k.row(rows.batch, keys.begin, rows.kv_head);
    value_ = p.v.row(rows.batch, keys.begin, rows.kv_head);
    key_stride_ = p.k.token_stride;
    value_stride_ = p.v.token_stride;
  }
  row_values scores(int, mask::key_range keys) {
    partly_hidden_ = false;
    const int n = int(keys.size());
    for (int j = 0; j < n; ++j) {
      const std::int64_t at = keys.begin - tile_.begin + j;
      const Element* k = key_ + at * key_stride_;
      prefetch(k + prefetch_keys * key_stride_, d_);
      prefetch(value_ + at * value_stride_, dv_);
      row_values::all(0.f).to(panel_.scores + j * panel_rows);
      for (int r = 0; r < rows_; r += row_step) {
        vector sum[row_step] = {};
        for (int c = 0; c < d_; c += vector_width) {
          const vector key = load_channels(k + c, d_ - c);
          DELTA_ATTENTION_UNROLL for (int i = 0; i < row_step; ++i) sum[i] +=
              key * load(queries_ + (r + i) * padded(d_) + c);
        }
        save4(panel_.scores + j * panel_rows + r, sums_of(sum));
      }
    }
    return panel_.largest(keys);
  }
  row_values softcap(int, mask::key_range keys, float c) { return panel_.softcap(keys, c); }
  template <class Mask>
  row_values hide(int, const kernel::tile_rows& rows, mask::key_range keys, const Mask& m) {
    partly_hidden_ = true;
    return panel_.hide(rows, rows.block(0, panel_rows), keys, positions_, heads_, m);
  }
  row_values exponentials(int, mask::key_range keys, const row_values& reference) {
    return panel_.exponentials(keys, reference);
  }
  void weighted_sum(int, mask::key_range keys, const row_values& factor) {
    float f[panel_rows];
    factor.to(f);
    if (!factor.all_are(1.f))
      for (int r = 0; r < rows_; ++r)
        for (int c = 0; c < padded(dv_); ++c) outputs_[r * padded(dv_) + c] *= f[r];
    const Element* v = value_ + (keys.begin - tile_.begin) * value_stride_;
    const int n = int(keys.size());
    int j = 0;
    if (!partly_hidden_)
      for (; j + key_step <= n; j += key_step) add_values<key_step>(v + j * value_stride_, j);
    for (; j < n; ++j)
      if (!partly_hidden_ || any_weight(j)) add_values<1>(v + j * value_stride_, j);
  }
  kernel::online_softmax<row_values>& statistics(int) { return softmax_; }

  template <class Epilogue>
  void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) const {
    float maximum[panel_rows], sum[panel_rows];
    softmax_.maximum.to(maximum);
    softmax_.sum.to(sum);
    for (int r = 0; r < rows.count; ++r) {
      const auto to = epilogue.row(rows, r, split, maximum[r], sum[r]);
      if (to.wanted)
        for (int c = 0; c < dv_; ++c) to.put(c, outputs_[r * padded(dv_) + c]);
    }
  }

 private:
  static constexpr int row_step = 4, key_step = 4, prefetch_keys = 16;

  static constexpr int padded(int channels) {
    return (channels + vector_width - 1) / vector_width * vector_width;
  }

  // May reach beyond the last key: a prefetch of memory that is not there does nothing.
  static DELTA_ATTENTION_INLINE void prefetch(const Element* row, int channels) {
    for (int c = 0; c < channels; c += 64 / int(sizeof(Element))) __builtin_prefetch(row + c);
  }
  // A whole vector of channels, or the `left` last ones and zeros.
  static DELTA_ATTENTION_INLINE vector load_channels(const Element* p, int left) {
    if (left >= vector_width) return load_elements(p);
    float x[vector_width];
    for (int i = 0; i < vector_width; ++i) x[i] = i < left ? float(p[i]) : 0.f;
    return load(x);
  }
  // The keys' weight in the rows that exist: a hidden key has none, and its values may be anything.
  bool any_weight(int j) const {
    bool any = false;
    for (int r = 0; r < rows_; ++r) any = any | (panel_.scores[j * panel_rows + r] != 0);
    return any;
  }
  template <int Keys> DELTA_ATTENTION_INLINE void add_values(const Element* v, int j) {
    for (int c = 0; c < dv_; c += vector_width) {
      vector value[Keys];
      DELTA_ATTENTION_UNROLL for (int x = 0; x < Keys; ++x) value[x] =
          load_channels(v + x * value_stride_ + c, dv_ - c);
      for (int r = 0; r < rows_; ++r) {
        float* o = outputs_ + r * padded(dv_) + c;
        vector sum = load(o);
        DELTA_ATTENTION_UNROLL for (int x = 0; x < Keys; ++x) sum +=
            value[x] * panel_.scores[(j + x) * panel_rows + r];
        save(o, sum);
      }
    }
  }

  int d_, dv_, rows_ = 0;
  bool partly_hidden_ = false;
  mask::key_range tile_{};
  const Element *key_ = nullptr, *value_ = nullptr;
  std::int64_t key_stride_ = 0, value_stride_ = 0;
  float *queries_, *outputs_;
  panel_type panel_{};
  kernel::online_softmax<row_values> softmax_{};
  std::int64_t positions_[panel_rows];
  int heads_[panel_rows];
};

}  // namespace delta_attention::arch
#endif
