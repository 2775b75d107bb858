#pragma once

#include <delta_attention/arch/vector_elements.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
#include <delta_attention/arch/row_panel.hpp>
#include <delta_attention/kernel/problem.hpp>

#include <algorithm>
#include <string>
#include <type_traits>

namespace delta_attention::arch {

/// Few rows on the host, as in decoding: one panel, whose keys and values are read once, where they
/// lie, so that memory bandwidth is the limit. Rows of several kv heads may share the panel: where
/// a token's heads lie side by side, memory is then read without gaps. Channels lie in vector lanes
/// for both products; scores are kept rows in lanes as ever.
template <class Element> class simd_stream {
  using panel_type = row_panel<1>;

 public:
  using accumulator = float;
  using row_values = panel_type::row_values;
  static constexpr int team_size = 1, vector_length = 1, panel_rows = panel_type::rows,
                       panel_step = 1, tile_keys = 64, tile_rows = panel_rows, scratch_level = 1,
                       scratch_alignment = 64;
  static constexpr bool skips_keys = true, several_kv_heads = true;
  static constexpr int few_tiles = 1;
  static std::string description() { return simd_description(); }
  using launch_bounds = Kokkos::LaunchBounds<>;

  /// Work items that keep all threads busy to the end.
  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return 4 * std::int64_t(exec.concurrency());
  }
  static constexpr std::size_t scratch_bytes(int d, int dv) {
    return (std::size_t(tile_rows) * (padded(d) + padded(dv)) +
            std::size_t(tile_keys) * panel_rows) *
           sizeof(float);
  }

  template <class Member>
  simd_stream(const Member& team, const kernel::problem<Element>& p)
      : d_(p.head_size()), dv_(p.value_size()) {
    queries_ =
        static_cast<float*>(team.team_scratch(1).get_shmem_aligned(scratch_bytes(d_, dv_), 64));
    outputs_ = queries_ + tile_rows * padded(d_);
    panel_.scores = outputs_ + tile_rows * padded(dv_);
  }

  int first_panel() const { return 0; }
  template <class Work> const Work& keep(const Work& work) const { return work; }

  template <class Visible>
  void load_queries(const kernel::problem<Element>& p, const kernel::tile_rows& rows,
                    const kernel::key_tile&, const Visible&) {
    rows_ = rows.count;
    std::fill_n(queries_, std::size_t(rows_) * padded(d_), 0.f);
    std::fill_n(outputs_, std::size_t(rows_) * padded(dv_), 0.f);
    runs_ = 0;
    int asked = 0;  // kv heads that have a run which asks
    for (int r = 0; r < rows.count; ++r) {
      const int kv_head = rows.head(r) / p.group() - rows.kv_head;
      if (runs_ > 0 && run_[runs_ - 1].kv_head == kv_head && run_[runs_ - 1].rows < row_step) {
        ++run_[runs_ - 1].rows;
      } else {
        const bool asks = kv_head == asked;  // heads ascend within a token
        asked += asks;
        run_[runs_++] = {r, 1, kv_head, asks};
      }
      const Element* from = p.q.row(rows.batch, rows.token(r), rows.head(r));
      for (int c = 0; c < d_; ++c) queries_[r * padded(d_) + c] = float(from[c]) * p.query_factor();
    }
    panel_.locate(rows, 0, positions_, heads_);
    softmax_ = {row_values::all(kernel::no_maximum<float>), row_values::all(0.f)};
  }
  template <class Visible>
  void stage(const kernel::problem<Element>& p, const kernel::tile_rows& rows,
             const kernel::key_tile& tile, const kernel::key_tile& following, const Visible&) {
    const mask::key_range keys = tile_ = tile.keys;
    find_pages(p.k, rows, following.keys);
    find_pages(p.v, rows, following.keys);
    key_ = p.k.row(rows.batch, keys.begin, rows.kv_head);
    value_ = p.v.row(rows.batch, keys.begin, rows.kv_head);
    key_stride_ = p.k.token_stride;
    value_stride_ = p.v.token_stride;
    key_head_stride_ = p.k.head_stride;
    value_head_stride_ = p.v.head_stride;
    keys_ahead_ = some_tokens(d_) * key_stride_;
    values_ahead_ = some_tokens(dv_) * value_stride_;
  }
  void scores(int, mask::key_range keys) {
    partly_hidden_ = false;
    const int n = int(keys.size());
    const Element* k = key_ + (keys.begin - tile_.begin) * key_stride_;
    for (int j = 0; j < n; j += key_step) {
      const Element* key[key_step];  // beyond the last: the last one again, to no use
      for (int x = 0; x < key_step; ++x) {
        key[x] = k + std::min(j + x, n - 1) * key_stride_;
        row_values::all(0.f).to(panel_.scores + (j + x) * panel_rows);
      }
      for_each_run([&]<int Rows>(const row_run& run, std::integral_constant<int, Rows>) {
        add_scores<Rows>(key, run, panel_.scores + j * panel_rows + run.first);
      });
    }
    maximum_ = panel_.largest(keys);
  }
  void softcap(int, mask::key_range keys, float c) { maximum_ = panel_.softcap(keys, c); }
  template <class Mask>
  void hide(int, const kernel::tile_rows& rows, mask::key_range keys, const Mask& m) {
    partly_hidden_ = true;
    maximum_ = panel_.hide(rows, rows.block(0, panel_rows), keys, positions_, heads_, m);
  }
  void weigh(int, mask::key_range keys) {
    factor_of_sums_ = softmax_.take(maximum_, [&](const row_values& reference) {
      return panel_.exponentials(keys, reference);
    });
  }
  void weighted_sum(int, mask::key_range keys) {
    float f[panel_rows];
    factor_of_sums_.to(f);
    if (!factor_of_sums_.all_are(1.f))
      for (int r = 0; r < rows_; ++r)
        for (int c = 0; c < padded(dv_); ++c) outputs_[r * padded(dv_) + c] *= f[r];
    const Element* v = value_ + (keys.begin - tile_.begin) * value_stride_;
    const int n = int(keys.size());
    int j = 0;
    if (!partly_hidden_)
      for (; j + value_step <= n; j += value_step) add_values<value_step>(v + j * value_stride_, j);
    for (; j < n; ++j)
      if (!partly_hidden_ || any_weight(j)) add_values<1>(v + j * value_stride_, j);
  }

  template <class Epilogue>
  void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) const {
    float maximum[panel_rows], sum[panel_rows];
    softmax_.maximum.to(maximum);
    softmax_.sum.to(sum);
    for (int r = 0; r < rows.count; ++r) {
      const auto to = epilogue.place(rows, r, split).finish(maximum[r], sum[r]);
      if (to.out != nullptr)
        for (int c = 0; c < dv_; ++c) to.store(c, outputs_[r * padded(dv_) + c]);
    }
  }

 private:
  // As many as registers hold: sums of each row and key, with the keys; weights of each, with the
  // values.
  static constexpr int row_step = 4, key_step = vector_registers == 16 ? 2 : 4,
                       value_step = vector_registers == 16 ? 3 : 4;
  static constexpr int prefetch_bytes = 16384, page_bytes = 4096;

  /// Rows next to each other with one kv head, at most row_step of them.
  struct row_run {
    int first, rows, kv_head;
    bool asks;  // for the keys and values that its kv head's other runs use as well
  };
  template <class F> DELTA_ATTENTION_INLINE void for_each_run(const F& f) const {
    for (int i = 0; i < runs_; ++i) {
      const row_run& r = run_[i];
      if (r.rows == 4)
        f(r, std::integral_constant<int, 4>{});
      else if (r.rows == 3)
        f(r, std::integral_constant<int, 3>{});
      else if (r.rows == 2)
        f(r, std::integral_constant<int, 2>{});
      else
        f(r, std::integral_constant<int, 1>{});
    }
  }

  static constexpr int padded(int channels) {
    return (channels + vector_width - 1) / vector_width * vector_width;
  }

  // Asks for one line of each page of the keys. A core looks up several pages at once that it does
  // not know, but only those that it meets within some hundred instructions: asked for line by
  // line, each would be waited for alone.
  void find_pages(const tensor<const Element>& x, const kernel::tile_rows& rows,
                  mask::key_range keys) const {
    const auto step = [](std::int64_t stride) {
      const std::int64_t bytes = stride * std::int64_t(sizeof(Element));
      return 0 < bytes && bytes < page_bytes ? page_bytes / bytes : 1;
    };
    const std::int64_t tokens = step(x.token_stride), heads = step(x.head_stride);
    for (std::int64_t head = 0; head <= run_[runs_ - 1].kv_head; head += heads)
      for (std::int64_t token = keys.begin; token < keys.end; token += tokens)
        __builtin_prefetch(x.row(rows.batch, token, rows.kv_head + head), 0, 2);
  }
  // Tokens that lie `prefetch_bytes` further on, where a token has `channels` channels of each head
  // that the rows read.
  std::int64_t some_tokens(int channels) const {
    const int bytes = (run_[runs_ - 1].kv_head + 1) * channels * int(sizeof(Element));
    return std::max(prefetch_bytes / bytes, 1);
  }
  // A line's first vector asks for the line that stands `ahead` of it: evenly, as many as are used,
  // and into L2, since a core soon has no more misses of L1 to wait for.
  // May reach beyond the last key: a prefetch of memory that is not there does nothing.
  static DELTA_ATTENTION_INLINE void ask_for(const Element* channels, int c, std::int64_t ahead) {
    if (c % (64 / int(sizeof(Element))) == 0) __builtin_prefetch(channels + ahead, 0, 2);
  }
  // The keys' weight in the rows that exist: a hidden key has none, and its values may be anything.
  bool any_weight(int j) const {
    bool any = false;
    for (int r = 0; r < rows_; ++r) any = any | (panel_.scores[j * panel_rows + r] != 0);
    return any;
  }
  template <int Rows>
  DELTA_ATTENTION_INLINE void add_scores(const Element* const (&keys)[key_step], const row_run& run,
                                         float* to) const {
    const std::int64_t row = padded(d_);
    const float* q = queries_ + run.first * row;
    const std::int64_t head = run.kv_head * key_head_stride_,
                       ahead = run.asks ? keys_ahead_ : 0;  // 0: its own line
    vector sum[row_step][key_step] = {};
    for_each_vector<Element>(d_, [&](int c, auto, auto load_channels) {
      vector key[key_step];
      DELTA_ATTENTION_UNROLL
      for (int x = 0; x < key_step; ++x) {
        const Element* from = keys[x] + head + c;
        ask_for(from, c, ahead);
        key[x] = load_channels(from);
      }
      DELTA_ATTENTION_UNROLL
      for (int r = 0; r < Rows; ++r) {
        const vector query = load(q + r * row + c);
        DELTA_ATTENTION_UNROLL
        for (int x = 0; x < key_step; ++x) sum[r][x] += key[x] * query;
      }
    });
    float sums[key_step][row_step];
    lane_sums(sum, sums);
    DELTA_ATTENTION_UNROLL
    for (int x = 0; x < key_step; ++x)
      __builtin_memcpy(to + x * panel_rows, sums[x], Rows * sizeof(float));
  }
  template <int Keys> DELTA_ATTENTION_INLINE void add_values(const Element* v, int j) {
    for_each_run([&]<int Rows>(const row_run& run, std::integral_constant<int, Rows>) {
      const Element* value_of_head = v + run.kv_head * value_head_stride_;
      const std::int64_t row = padded(dv_), stride = value_stride_,
                         ahead = run.asks ? values_ahead_ : 0;
      float* o = outputs_ + run.first * row;
      vector weight[Rows][Keys];
      DELTA_ATTENTION_UNROLL
      for (int r = 0; r < Rows; ++r) {
        DELTA_ATTENTION_UNROLL
        for (int x = 0; x < Keys; ++x)
          weight[r][x] = broadcast(panel_.scores[(j + x) * panel_rows + run.first + r]);
      }
      for_each_vector<Element>(dv_, [&](int c, auto, auto load_channels) {
        vector value[Keys];
        DELTA_ATTENTION_UNROLL
        for (int x = 0; x < Keys; ++x) {
          const Element* from = value_of_head + x * stride + c;
          ask_for(from, c, ahead);
          value[x] = load_channels(from);
        }
        DELTA_ATTENTION_UNROLL
        for (int r = 0; r < Rows; ++r) {
          vector sum = load(o + r * row + c);
          DELTA_ATTENTION_UNROLL
          for (int x = 0; x < Keys; ++x) sum += value[x] * weight[r][x];
          save(o + r * row + c, sum);
        }
      });
    });
  }

  int d_, dv_, rows_ = 0, runs_ = 0;
  bool partly_hidden_ = false;
  mask::key_range tile_{};
  const Element *key_ = nullptr, *value_ = nullptr;
  std::int64_t key_stride_ = 0, value_stride_ = 0, key_head_stride_ = 0, value_head_stride_ = 0,
               keys_ahead_ = 0, values_ahead_ = 0;
  float *queries_, *outputs_;
  panel_type panel_{};
  kernel::online_softmax<row_values> softmax_{};
  row_values maximum_, factor_of_sums_;  // of the tile's scores; for what was summed before
  std::int64_t positions_[panel_rows];
  int heads_[panel_rows];
  row_run run_[panel_rows];
};

}  // namespace delta_attention::arch
#endif
