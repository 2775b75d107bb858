#pragma once

#include <delta_attention/arch/vector.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>
#include <delta_attention/mask/algebra.hpp>

#include <algorithm>
#include <limits>

namespace delta_attention::arch {

/// The scores of one panel on the host, [key][row] with rows in lanes, and everything between the
/// two products.
template <int N> struct row_panel {
  using row_values = row_vectors<N>;
  static constexpr int rows = N * vector_width;

  float* scores;

  /// Positions and heads of the rows of panel `panel`; lanes beyond the last row repeat it.
  static void locate(const kernel::tile_rows& tile, int panel, std::int64_t* positions,
                     int* heads) {
    const int first = std::min(panel * rows, tile.count - 1);
    std::int64_t position = tile.position(first);
    int head = tile.head(first);
    for (int i = 0; i < rows; ++i) {
      positions[i] = position;
      heads[i] = head;
      if (panel * rows + i + 1 < tile.count && ++head == tile.first_head + tile.heads.value()) {
        head = tile.first_head;
        position += tile.set.step;
      }
    }
  }

  row_values largest(mask::key_range keys) const {
    constexpr int at_once = 4;  // maxima of their own, so that none waits for the one before
    row_values m[at_once];
    for (row_values& x : m) x = row_values::all(-std::numeric_limits<float>::infinity());
    const int n = int(keys.size());
    int j = 0;
    for (; j + at_once <= n; j += at_once) {
      DELTA_ATTENTION_UNROLL
      for (int x = 0; x < at_once; ++x) m[x] = max(m[x], row_values::from(scores + (j + x) * rows));
    }
    for (; j < n; ++j) m[0] = max(m[0], row_values::from(scores + j * rows));
    return max(max(m[0], m[1]), max(m[2], m[3]));
  }
  row_values softcap(mask::key_range keys, float c) const {
    for_each_key(keys, [&](row_values s) {
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < N; ++i) s.v[i] = tanh(s.v[i]) * (c * float(kernel::log2_e));
      return s;
    });
    return largest(keys);
  }
  template <class Mask>
  row_values hide(const kernel::tile_rows& tile, mask::row_block block, mask::key_range keys,
                  const std::int64_t* positions, const int* heads, const Mask& m) const {
    // Most of a partly visible tile is visible or hidden as a whole: look at 16 keys at a time.
    for (std::int64_t j = keys.begin; j < keys.end;) {
      const mask::key_range some{j, std::min(keys.end, (j / 16 + 1) * 16)};
      if (m.classify(block, some) != mask::coverage::full) {
        const auto visible = within(m, block, some);
        for (; j < some.end; ++j) {
          float* s = scores + (j - keys.begin) * rows;
          for (int i = 0; i < rows; ++i)
            s[i] = visible.allows(tile.batch, heads[i], positions[i], j)
                       ? s[i]
                       : -std::numeric_limits<float>::infinity();
        }
      }
      j = some.end;
    }
    return largest(keys);
  }
  row_values exponentials(mask::key_range keys, const row_values& reference) const {
    row_values sum = row_values::all(0.f);
    for_each_key(keys, [&](const row_values& s) {
      const row_values weight = exp2(s - reference);
      sum = sum + weight;
      return weight;
    });
    return sum;
  }

 private:
  template <class F> DELTA_ATTENTION_INLINE void for_each_key(mask::key_range keys, F&& f) const {
    const int n = int(keys.size());
    // A copy: as far as a compiler knows, storing scores might change `scores` itself.
    float* s = scores;
    for (int j = 0; j < n; ++j, s += rows) f(row_values::from(s)).to(s);
  }
};

}  // namespace delta_attention::arch
#endif
