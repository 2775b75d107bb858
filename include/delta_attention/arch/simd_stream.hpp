#pragma once

#include <delta_attention/arch/vector_elements.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
#include <delta_attention/arch/memory_ahead.hpp>
#include <delta_attention/arch/row_panel.hpp>
#include <delta_attention/kernel/problem.hpp>

#include <algorithm>
#include <string>
#include <type_traits>

namespace delta_attention::arch {

/// Few rows on the host, as in decoding: keys and values are read once, where they lie, so that
/// memory bandwidth is the limit. Rows of several kv heads are taken together: where a token's
/// heads lie side by side, memory is then read without gaps. (With gaps a core reads it half as
/// fast: docs/performance.md.) Channels lie in vector lanes for both products; scores are kept rows
/// in lanes as ever, in parts of one vector.
template <class Element> class simd_stream {
  using part_type = row_panel<1>;
  static constexpr int part_rows = part_type::rows;

 public:
  using accumulator = float;
  using row_values = part_type::row_values;
  static constexpr int team_size = 1, vector_length = 1, panel_rows = 32, panel_step = 1,
                       tile_keys = 64, tile_rows = panel_rows, scratch_level = 1,
                       scratch_alignment = 64;
  static constexpr bool skips_keys = true, several_kv_heads = true;
  static constexpr int few_rows = part_rows;
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
    for (int i = 0; i < most_parts; ++i)
      part_[i].scores = outputs_ + tile_rows * padded(dv_) + i * tile_keys * part_rows;
  }

  int first_panel() const { return 0; }
  template <class Work> const Work& keep(const Work& work) const { return work; }

  template <class Visible>
  void load_queries(const kernel::problem<Element>& p, const kernel::tile_rows& rows,
                    const kernel::key_tile&, const Visible&) {
    rows_ = rows.count;
    parts_ = (rows_ + part_rows - 1) / part_rows;
    std::fill_n(queries_, std::size_t(rows_) * padded(d_), 0.f);
    std::fill_n(outputs_, std::size_t(rows_) * padded(dv_), 0.f);
    runs_ = 0;
    kv_heads_ = 0;  // that have a run
    for (int r = 0; r < rows.count; ++r) {
      const int kv_head = rows.head(r) / p.group() - rows.kv_head;
      if (r % part_rows > 0 && run_[runs_ - 1].kv_head == kv_head &&
          run_[runs_ - 1].rows < row_step) {
        ++run_[runs_ - 1].rows;
      } else {
        const bool asks = kv_head == kv_heads_;  // heads ascend within a token
        kv_heads_ += asks;
        run_[runs_++] = {r, 1, kv_head, asks};
      }
      const Element* from = p.q.row(rows.batch, rows.token(r), rows.head(r));
      for (int c = 0; c < d_; ++c) queries_[r * padded(d_) + c] = float(from[c]) * p.query_factor();
    }
    key_lines_.list(p.k, d_, kv_heads_);
    value_lines_.list(p.v, dv_, kv_heads_);
    for (int i = 0; i < parts_; ++i) {
      part_type::locate(rows, i, positions_ + i * part_rows, heads_ + i * part_rows);
      softmax_[i] = {row_values::all(kernel::no_maximum<float>), row_values::all(0.f)};
    }
  }
  template <class Visible>
  void stage(const kernel::problem<Element>& p, const kernel::tile_rows& rows,
             const kernel::key_tile& tile, const kernel::key_tile& following, const Visible&) {
    const mask::key_range keys = tile_ = tile.keys;
    find_pages(p.k, rows.batch, rows.kv_head, kv_heads_, following.keys);
    find_pages(p.v, rows.batch, rows.kv_head, kv_heads_, following.keys);
    key_ = p.k.row(rows.batch, keys.begin, rows.kv_head);
    value_ = p.v.row(rows.batch, keys.begin, rows.kv_head);
    key_stride_ = p.k.token_stride;
    value_stride_ = p.v.token_stride;
    key_head_stride_ = p.k.head_stride;
    value_head_stride_ = p.v.head_stride;
  }
  void scores(int, mask::key_range keys) {
    partly_hidden_ = false;
    const int n = int(keys.size());
    const Element* k = key_ + (keys.begin - tile_.begin) * key_stride_;
    for (int j = 0; j < n; j += key_step) {
      const Element* key[key_step];  // beyond the last: the last one again, to no use
      for (int x = 0; x < key_step; ++x) {
        key[x] = k + std::min(j + x, n - 1) * key_stride_;
        for (int i = 0; i < parts_; ++i) row_values::all(0.f).to(scores_of(i * part_rows, j + x));
      }
      for_each_run([&]<int Rows>(const row_run& run, std::integral_constant<int, Rows>) {
        add_scores<Rows>(key, run, scores_of(run.first, j));
      });
    }
    for (int i = 0; i < parts_; ++i) maximum_[i] = part_[i].largest(keys);
  }
  void softcap(int, mask::key_range keys, float c) {
    for (int i = 0; i < parts_; ++i) maximum_[i] = part_[i].softcap(keys, c);
  }
  template <class Mask>
  void hide(int, const kernel::tile_rows& rows, mask::key_range keys, const Mask& m) {
    partly_hidden_ = true;
    for (int i = 0; i < parts_; ++i) {
      const int first = i * part_rows;
      maximum_[i] = part_[i].hide(rows, rows.block(first, first + part_rows), keys,
                                  positions_ + first, heads_ + first, m);
    }
  }
  void weigh(int, mask::key_range keys) {
    for (int i = 0; i < parts_; ++i)
      factor_of_sums_[i] = softmax_[i].take(maximum_[i], [&](const row_values& reference) {
        return part_[i].exponentials(keys, reference);
      });
  }
  void weighted_sum(int, mask::key_range keys) {
    for (int i = 0; i < parts_; ++i)
      if (!factor_of_sums_[i].all_are(1.f)) rescale(i);
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
    for (int i = 0; i < parts_; ++i) {
      softmax_[i].maximum.to(maximum + i * part_rows);
      softmax_[i].sum.to(sum + i * part_rows);
    }
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
  static constexpr int most_parts = panel_rows / part_rows;

  /// Rows next to each other in one part and with one kv head, at most row_step of them.
  struct row_run {
    int first, rows, kv_head;
    bool asks;  // for the lines that its kv head's other runs use as well
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

  // The scores of a row and of those that follow it in its part.
  float* scores_of(int row, int key) const {
    return part_[row / part_rows].scores + key * part_rows + row % part_rows;
  }
  void rescale(int part) {
    float f[part_rows];
    factor_of_sums_[part].to(f);
    const int first = part * part_rows, row = padded(dv_);
    for (int r = first; r < std::min(first + part_rows, rows_); ++r)
      for (int c = 0; c < row; ++c) outputs_[r * row + c] *= f[r - first];
  }
  // The keys' weight in the rows that exist: a hidden key has none, and its values may be anything.
  bool any_weight(int j) const {
    bool any = false;
    for (int r = 0; r < rows_; ++r) any = any | (*scores_of(r, j) != 0);
    return any;
  }
  template <int Rows>
  DELTA_ATTENTION_INLINE void add_scores(const Element* const (&keys)[key_step], const row_run& run,
                                         float* to) const {
    const std::int64_t row = padded(d_);
    const float* q = queries_ + run.first * row;
    const std::int64_t head = run.kv_head * key_head_stride_;
    auto ask = key_lines_.template asking<key_step>(run.kv_head, run.asks);
    vector sum[row_step][key_step] = {};
    for_each_vector<Element>(d_, [&](int c, auto, auto load_channels) {
      vector key[key_step];
      DELTA_ATTENTION_UNROLL
      for (int x = 0; x < key_step; ++x) {
        ask.beside(c, keys[0]);
        key[x] = load_channels(keys[x] + head + c);
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
      __builtin_memcpy(to + x * part_rows, sums[x], Rows * sizeof(float));
  }
  template <int Keys> DELTA_ATTENTION_INLINE void add_values(const Element* v, int j) {
    for_each_run([&]<int Rows>(const row_run& run, std::integral_constant<int, Rows>) {
      const Element* value_of_head = v + run.kv_head * value_head_stride_;
      const std::int64_t row = padded(dv_), stride = value_stride_;
      auto ask = value_lines_.template asking<Keys>(run.kv_head, run.asks);
      float* o = outputs_ + run.first * row;
      const float* w = scores_of(run.first, j);
      vector weight[Rows][Keys];
      DELTA_ATTENTION_UNROLL
      for (int r = 0; r < Rows; ++r) {
        DELTA_ATTENTION_UNROLL
        for (int x = 0; x < Keys; ++x) weight[r][x] = broadcast(w[x * part_rows + r]);
      }
      for_each_vector<Element>(dv_, [&](int c, auto, auto load_channels) {
        vector value[Keys];
        DELTA_ATTENTION_UNROLL
        for (int x = 0; x < Keys; ++x) {
          ask.beside(c, v);
          value[x] = load_channels(value_of_head + x * stride + c);
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

  int d_, dv_, rows_ = 0, parts_ = 0, runs_ = 0, kv_heads_ = 0;
  bool partly_hidden_ = false;
  mask::key_range tile_{};
  const Element *key_ = nullptr, *value_ = nullptr;
  std::int64_t key_stride_ = 0, value_stride_ = 0, key_head_stride_ = 0, value_head_stride_ = 0;
  lines_ahead<Element, key_step, panel_rows> key_lines_;
  lines_ahead<Element, value_step, panel_rows> value_lines_;
  float *queries_, *outputs_;
  part_type part_[most_parts];
  kernel::online_softmax<row_values> softmax_[most_parts];
  // Of the tile's scores; for what was summed before.
  row_values maximum_[most_parts], factor_of_sums_[most_parts];
  std::int64_t positions_[panel_rows];
  int heads_[panel_rows];
  row_run run_[panel_rows];
};

}  // namespace delta_attention::arch
#endif
