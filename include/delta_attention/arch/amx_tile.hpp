#pragma once

#include <delta_attention/arch/amx_product.hpp>

#if defined(DELTA_ATTENTION_HAS_AMX)
#include <delta_attention/arch/amx_stage.hpp>
#include <delta_attention/arch/row_tile.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

namespace delta_attention::arch {

/// Many rows of bfloat16 on a host with AMX: simd_tile with its products on tile registers. A
/// panel's 32 rows are the columns of two operands; S^T = K Q^T and O^T += V^T P^T again have rows
/// in lanes, so that what lies between them is row_panel's. Queries are paired once an item, values
/// are transposed once a tile, weights are paired as they come out of the exponential, rounded.
/// The second product of a panel waits for the exponentials of the next, and runs beside them.
class amx_tile {
  static constexpr int panels = 24, block = 32;  // keys or channels of a product
  using rows_type = row_tile<2, panels>;
  using panel_type = rows_type::panel_type;

 public:
  using accumulator = float;
  using row_values = rows_type::row_values;
  static constexpr int team_size = 1, vector_length = 1, panel_rows = panel_type::rows,
                       panel_step = 1, tile_keys = 256, tile_rows = rows_type::rows,
                       scratch_level = 1, scratch_alignment = 64;
  static constexpr bool skips_keys = true, several_kv_heads = false, shares_cache = false;
  static_assert(panel_rows == amx_sums::stride);
  static std::string description() { return "amx (tiles of 16 x 32 bfloat16)"; }
  using launch_bounds = Kokkos::LaunchBounds<>;

  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return exec.concurrency();
  }
  static constexpr std::size_t scratch_bytes(int d, int dv) {
    return (query_operands(d) + key_operands(d) + value_operands(dv) + 2 * weight_operands) *
               sizeof(amx_operand) +
           (std::size_t(tile_keys) * panel_rows + rows_type::floats(padded(dv))) * sizeof(float);
  }

  template <class Member>
  amx_tile(const Member& team, const kernel::problem<bfloat16>& p)
      : amx_tile(p, static_cast<amx_operand*>(team.team_scratch(1).get_shmem_aligned(
                        scratch_bytes(p.head_size(), p.value_size()), 64))) {}

  int first_panel() const { return 0; }
  template <class Work> const Work& keep(const Work& work) const { return work; }

  template <class Visible>
  void load_queries(const kernel::problem<bfloat16>& p, const kernel::tile_rows& rows,
                    const kernel::key_tile&, const Visible&) {
    rows_.begin(rows, p.q, [&](int panel, const auto& source) {
      for (int half = 0; half < 2; ++half)
        stage_columns(queries(panel) + half, 2, source + half * 16, d_);
    });
  }

  template <class Visible>
  void stage(const kernel::problem<bfloat16>& p, const kernel::tile_rows& rows,
             const kernel::key_tile& tile, const kernel::key_tile& following,
             const Visible& visible) {
    finish_products();
    following_ = {p, rows, following.keys};
    const mask::key_range keys = tile_ = tile.keys;
    const int n = int(keys.size());
    const bfloat16* k = p.k.row(rows.batch, keys.begin, rows.kv_head);
    for (int j = 0; j < n; ++j)  // what lies beyond the last may be anything
      stage_row(keys_ + std::ptrdiff_t(j / 16) * steps(), j % 16, k + j * p.k.token_stride, d_);
    const bfloat16* v = p.v.row(rows.batch, keys.begin, rows.kv_head);
    for (int j = 0; j < n; j += block) {
      const auto stage_block = [&](std::uint32_t wanted) {
        return stage_transposed(values_ + j / block, tile_keys / block, v + j * p.v.token_stride,
                                p.v.token_stride, dv_, wanted);
      };
      const int count = std::min(block, n - j);
      if (stage_block(mask::bits_below(count)) || tile.seen) continue;
      // A weight 0 times a NaN is a NaN: values that are not finite count only where some row sees
      // them.
      std::uint32_t seen = 0;
      for (int x = 0; x < count; ++x)
        seen |= std::uint32_t(visible.some_row_sees(keys.begin + j + x)) << x;
      stage_block(seen);
    }
  }

  void scores(int panel, mask::key_range keys) {
    const int begin = int(keys.begin - tile_.begin), end = int(keys.end - tile_.begin);
    first_ = begin / block;
    last_ = (end + block - 1) / block;
    panel_.scores = scores_ + begin % block * panel_rows;
    float *s = scores_, *const beyond = panel_.scores + (end - begin) * panel_rows;
    row_values maximum = row_values::all(-infinite);
    for (int b = first_; b < last_; ++b, s += block * panel_rows) {
      const amx_operand *k = keys_ + std::ptrdiff_t(2 * b) * steps(), *q = queries(panel);
      for (int i = 0; i < 4; ++i) following_.ask_for_next();
      amx_sums::clear();
      for (int i = 0; i < steps(); ++i) amx_sums::add(k + i, k + steps() + i, q + 2 * i);
      amx_sums::store(s);
      // Keys of a block that are not in the range weigh nothing.
      if (b == first_) std::fill(scores_, panel_.scores, -infinite);
      if (b > first_) maximum = max(maximum, largest_before(s));  // while this block multiplies
    }
    std::fill(beyond, s, -infinite);
    maximum = max(maximum, largest_before(s));
    // A score is a product with score_factor_, which is positive: the largest product is the
    // largest score, and a hidden product of -infinity a hidden score.
    score_factor_ = std::max(std::fabs(factor_), 0x1p-126f);
    if (factor_ < 0) {
      scale(keys, -1.f);
      maximum = panel_.largest(keys);
    }
    maximum_ = maximum * row_values::all(score_factor_);
  }
  void softcap(int, mask::key_range keys, float c) {
    scale(keys, score_factor_);
    score_factor_ = 1.f;
    maximum_ = panel_.softcap(keys, c);
  }
  template <class Mask>
  void hide(int panel, const kernel::tile_rows& rows, mask::key_range keys, const Mask& m) {
    maximum_ = rows_.hide(panel_, panel, rows, keys, m) * row_values::all(score_factor_);
  }
  void weigh(int panel, mask::key_range) {
    factor_of_sums_ = rows_.statistics(panel).take(
        maximum_, [&](const row_values& reference) { return exponentials(reference); });
  }
  void weighted_sum(int panel, mask::key_range) {
    const bool fresh = rows_.take_fresh(panel);
    if (!fresh && !factor_of_sums_.all_are(1.f)) rows_.rescale(panel, factor_of_sums_);
    late_ = {rows_.outputs(panel),
             values_ + first_,
             weights(made_),
             last_ - first_,
             padded(dv_) / block,
             0,
             fresh};
    made_ ^= 1;
  }

  template <class Epilogue>
  void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) {
    finish_products();
    rows_.store(rows, split, dv_, epilogue);
  }

 private:
  static constexpr float infinite = std::numeric_limits<float>::infinity();

  row_values exponentials(const row_values& reference) {
    constexpr int turn = 4;  // pairs of keys, with at most one product beside them
    const int turns = (last_ - first_) * (16 / turn), products = late_.keys * late_.channels;
    const row_values factor = row_values::all(score_factor_);
    row_values sum[2] = {row_values::all(0.f), row_values::all(0.f)};  // even and odd keys
    const float* s = scores_;
    for (int t = 0, due = 0; t < turns; ++t) {
      amx_operand* to = weights(made_) + t * turn / 16 * 2;
      const auto next_pair = [&](int i) __attribute__((always_inline)) {
        const row_values even = exp2(row_values::from(s) * factor - reference),
                         odd = exp2(row_values::from(s + panel_rows) * factor - reference);
        s += 2 * panel_rows;
        sum[0] = sum[0] + even;
        sum[1] = sum[1] + odd;
        DELTA_ATTENTION_UNROLL
        for (int half = 0; half < 2; ++half)
          stage_weights(to + half, t * turn % 16 + i, even.v[half], odd.v[half]);
      };
      due += products;
      if (due >= turns) {
        due -= turns;
        add_product(next_pair);
      } else {
        for (int i = 0; i < turn; ++i) next_pair(i);
      }
      for (; due >= turns; due -= turns) add_product([](int) {});
    }
    return sum[0] + sum[1];
  }

  static constexpr int padded(int channels) { return (channels + block - 1) / block * block; }
  int steps() const { return padded(d_) / block; }
  // Queries lie as [panel][channels / 32][half], keys as [keys / 16][channels / 32], values as
  // [channels / 16][keys / 32], weights as [keys / 32][half].
  static constexpr std::size_t query_operands(int d) { return tile_rows / 16 * (padded(d) / 32); }
  static constexpr std::size_t key_operands(int d) { return tile_keys / 16 * (padded(d) / 32); }
  static constexpr std::size_t value_operands(int dv) { return padded(dv) / 16 * (tile_keys / 32); }
  static constexpr std::size_t weight_operands = tile_keys / 32 * 2;

  amx_tile(const kernel::problem<bfloat16>& p, amx_operand* memory)
      : d_(p.head_size()),
        dv_(p.value_size()),
        factor_(p.query_factor()),
        queries_(memory),
        keys_(queries_ + query_operands(d_)),
        values_(keys_ + key_operands(d_)),
        weights_(values_ + value_operands(dv_)),
        scores_(reinterpret_cast<float*>(weights_ + 2 * weight_operands)),
        rows_(scores_ + tile_keys * panel_rows, padded(dv_)) {}

  amx_operand* queries(int panel) const { return queries_ + std::ptrdiff_t(panel) * 2 * steps(); }
  amx_operand* weights(int which) const { return weights_ + which * weight_operands; }

  row_values largest_before(const float* s) const {
    return panel_type{const_cast<float*>(s) - block * panel_rows}.largest({0, block});
  }
  void scale(mask::key_range keys, float by) const {
    float* s = panel_.scores;
    for (std::int64_t i = 0; i < keys.size(); ++i, s += panel_rows)
      (row_values::from(s) * row_values::all(by)).to(s);
  }

  // One of the products that are late: of 32 channels, 32 keys and the panel's rows.
  template <class Meanwhile> DELTA_ATTENTION_INLINE void add_product(const Meanwhile& meanwhile) {
    if (late_.at == 0) {
      if (late_.fresh)
        amx_sums::clear();
      else
        amx_sums::load(late_.sums);
    }
    const amx_operand* v = late_.values + late_.at;
    amx_sums::add(v, v + tile_keys / block, late_.weights + 2 * late_.at, meanwhile);
    if (++late_.at < late_.keys) return;
    amx_sums::store(late_.sums);
    late_.sums += block * panel_rows;
    late_.values += 2 * (tile_keys / block);
    late_.at = 0;
    --late_.channels;
  }
  void finish_products() {
    while (late_.channels > 0) add_product([](int) {});
  }

  amx_registers registers_;
  int d_, dv_;
  float factor_,
      score_factor_ = 1;  // of the scores as they are: scores() sets it, softcap() spends it
  mask::key_range tile_{};
  following_tile<bfloat16> following_{};
  int first_ = 0, last_ = 0;  // blocks of the keys that a panel is at
  struct {
    float* sums;
    const amx_operand *values, *weights;  // of the next channels
    int keys, channels, at;               // in blocks; `at` is the next one of keys
    bool fresh;                           // there are no sums yet
  } late_{};
  int made_ = 0;  // the weights that are made next, of two
  amx_operand *queries_, *keys_, *values_, *weights_;
  float* scores_;
  panel_type panel_{};
  rows_type rows_;
  row_values maximum_, factor_of_sums_;  // of the tile's scores; for what was summed before
};

}  // namespace delta_attention::arch
#endif
