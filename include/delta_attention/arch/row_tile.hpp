#pragma once

#include <delta_attention/arch/vector_elements.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
#include <delta_attention/arch/row_panel.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>

#include <algorithm>
#include <cstdint>

namespace delta_attention::arch {

/// A row to be read, or written, soon.
template <int Write = 0, class T> DELTA_ATTENTION_INLINE void prefetch(const T* row, int channels) {
  for (int c = 0; c < channels; c += 64 / int(sizeof(T))) __builtin_prefetch(row + c, Write, 2);
}

/// The keys and values of the tile that comes next. Staging waits for memory, the products never
/// do: between them a key's or a value's row is asked for, no more lines at a time than a core can
/// have under way.
template <class Element> class following_tile {
 public:
  following_tile() = default;
  following_tile(const kernel::problem<Element>& p, const kernel::tile_rows& rows,
                 mask::key_range keys)
      : keys_(p.k.row(rows.batch, keys.begin, rows.kv_head)),
        values_(p.v.row(rows.batch, keys.begin, rows.kv_head)),
        key_stride_(p.k.token_stride),
        value_stride_(p.v.token_stride),
        head_size_(p.head_size()),
        value_size_(p.value_size()),
        rows_(2 * int(keys.size())) {}

  DELTA_ATTENTION_INLINE void ask_for_next() {
    if (asked_ >= rows_) return;
    const int j = asked_ / 2;
    if (asked_++ % 2 == 0)
      prefetch(keys_ + j * key_stride_, head_size_);
    else
      prefetch(values_ + j * value_stride_, value_size_);
  }

 private:
  const Element *keys_ = nullptr, *values_ = nullptr;
  std::int64_t key_stride_ = 0, value_stride_ = 0;
  int head_size_ = 0, value_size_ = 0, rows_ = 0, asked_ = 0;
};

/// The rows of a host thread's tile, whatever multiplies: their sums, [panel][channel][row], their
/// statistics, positions and heads, and the way out.
template <int N, int Panels> class row_tile {
 public:
  using panel_type = row_panel<N>;
  using row_values = typename panel_type::row_values;
  static constexpr int panel_rows = panel_type::rows, rows = Panels * panel_rows;

  /// What rows with `channels` channels take, in floats.
  static constexpr std::size_t floats(int channels) {
    return std::size_t(rows) * channels + rounded(statistics_floats) + rounded(positions_floats) +
           rounded(rows);
  }
  row_tile(float* memory, int channels) : outputs_(memory), channels_(channels) {
    float* place = outputs_ + std::size_t(rows) * channels;
    statistics_ = reinterpret_cast<kernel::online_softmax<row_values>*>(place);
    positions_ = reinterpret_cast<std::int64_t*>(place += rounded(statistics_floats));
    heads_ = reinterpret_cast<int*>(place + rounded(positions_floats));
  }

  /// The panels of an item's rows, which have seen nothing yet: take(panel, rows) gets a panel's
  /// rows of x, one pointer each; beyond the last row they are the last one's.
  template <class Element, class F>
  DELTA_ATTENTION_INLINE void begin(const kernel::tile_rows& tile, const tensor<const Element>& x,
                                    const F& take) {
    for (int panel = 0; panel * panel_rows < tile.count; ++panel) {
      panel_type::locate(tile, panel, positions_ + panel * panel_rows, heads_ + panel * panel_rows);
      statistics_[panel] = {row_values::all(kernel::no_maximum<float>), row_values::all(0.f)};
      fresh_[panel] = true;
    }
    const auto row = [&](int r) {
      return x.row(tile.batch, positions_[r] - tile.query_offset, heads_[r]);
    };
    for (int first = 0; first < tile.count; first += panel_rows) {
      const Element* of_panel[panel_rows];
      for (int i = 0; i < panel_rows; ++i) of_panel[i] = row(first + i);
      const int next = first + panel_rows;
      for (int r = next; r < std::min(next + panel_rows, tile.count); ++r)
        prefetch(row(r), int(x.channels));
      take(first / panel_rows, of_panel);
    }
  }
  template <class Mask>
  row_values hide(const panel_type& scores, int panel, const kernel::tile_rows& tile,
                  mask::key_range keys, const Mask& m) const {
    return scores.hide(tile, tile.block(panel * panel_rows, (panel + 1) * panel_rows), keys,
                       positions_ + panel * panel_rows, heads_ + panel * panel_rows, m);
  }
  float* outputs(int panel) const { return outputs_ + std::size_t(panel) * panel_rows * channels_; }
  /// Its sums times a factor for each row.
  void rescale(int panel, const row_values& factor) {
    float* sums = outputs(panel);
    for (int c = 0; c < channels_; ++c, sums += panel_rows)
      (row_values::from(sums) * factor).to(sums);
  }
  kernel::online_softmax<row_values>& statistics(int panel) { return statistics_[panel]; }

  /// Whether a panel has no sums yet; from now on it has some.
  bool take_fresh(int panel) {
    const bool fresh = fresh_[panel];
    fresh_[panel] = false;
    return fresh;
  }

  /// The first `value_size` channels of all rows.
  template <class Epilogue>
  void store(const kernel::tile_rows& tile, int split, int value_size,
             const Epilogue& epilogue) const {
    for (int panel = 0; panel * panel_rows < tile.count; ++panel) {
      const int first = panel * panel_rows, n = std::min(panel_rows, tile.count - first);
      float maximum[panel_rows], sum[panel_rows];
      statistics_[panel].maximum.to(maximum);
      statistics_[panel].sum.to(sum);
      decltype(epilogue.place(tile, 0, 0).finish(0.f, 0.f)) to[panel_rows];
      for (int i = 0; i < n; ++i) {
        to[i] = epilogue.place(tile, first + i, split).finish(maximum[i], sum[i]);
        if (to[i].out != nullptr) prefetch<1>(to[i].out, value_size);
      }
      for (int r = 0; r < n; r += vector_width)
        for (int c = 0; c < value_size; c += vector_width) {
          // Channels, then rows; beyond the last channel something else, to no use.
          vector m[vector_width];
          const float* from = outputs(panel) + std::ptrdiff_t(c) * panel_rows + r;
          DELTA_ATTENTION_UNROLL
          for (int i = 0; i < vector_width; ++i) m[i] = load(from + i * panel_rows);
          transpose(m);
          for (int i = 0; i < std::min(vector_width, n - r); ++i)
            if (to[r + i].out != nullptr) store_row(to[r + i], c, m[i], value_size - c);
        }
    }
  }

 private:
  // The channels from c on, at most `left`.
  template <class Destination>
  static DELTA_ATTENTION_INLINE void store_row(const Destination& to, int c, vector sums,
                                               int left) {
    if (left < vector_width) {
      float x[vector_width];
      save(x, sums);
      for (int i = 0; i < left; ++i) to.store(c + i, x[i]);
      return;
    }
    vector x = to.scaled(sums);
    if (to.added != nullptr) x += load(to.added + c);
    save_elements(to.out + c, x);
  }

  static constexpr std::size_t rounded(std::size_t floats) { return (floats + 15) / 16 * 16; }
  static constexpr std::size_t statistics_floats = Panels *
                                                   sizeof(kernel::online_softmax<row_values>) /
                                                   sizeof(float),
                               positions_floats = rows * sizeof(std::int64_t) / sizeof(float);

  float* outputs_;
  int channels_;
  kernel::online_softmax<row_values>* statistics_;
  std::int64_t* positions_;
  int* heads_;
  bool fresh_[Panels] = {};
};

}  // namespace delta_attention::arch
#endif
