#pragma once

#include <delta_attention/arch/amd_lane.hpp>
#include <delta_attention/arch/lane_values.hpp>
#include <delta_attention/arch/mfma_panel.hpp>
#include <delta_attention/arch/mfma_stage.hpp>
#include <delta_attention/arch/read_ahead.hpp>
#include <delta_attention/arch/scalar.hpp>
#include <delta_attention/arch/shapes.hpp>
#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/arch/words.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/mask/algebra.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace delta_attention::arch {

/// AMD's matrix instructions from CDNA2 on, 32x32x8 or 16x16x16: S^T = K Q^T and O^T += V^T P^T
/// with float16 or bfloat16 operands and float accumulators, which arch/mfma_panel.hpp holds.
/// Queries stay in registers; how keys and values get to shared memory is arch/mfma_stage.hpp's.
template <class Element, mfma_shape Shape, class Lane> class mfma_tile {
  static constexpr int T = Shape.rows, D = Shape.channels, N = Shape.keys;
  using stage_type = mfma_stage<Element, Shape, Lane>;

 public:
  using accumulator = float;
  using lane_type = Lane;
  using panel_type = mfma_panel<Element, T, N, D, Lane>;
  static constexpr int team_size = Shape.waves, vector_length = Lane::lanes, panel_rows = T,
                       panel_step = Shape.waves, tile_rows = Shape.waves * T, tile_keys = N,
                       scratch_level = 0, scratch_alignment = Lane::alignment;
  static constexpr bool skips_keys = false, several_kv_heads = false;
  /// Teams go to a chip's dies in turn (eight of MI300X, each with an L2 of its own): with heads
  /// side by side, and as many kv heads, each die has the keys of one.
  static constexpr bool shares_cache = false;
  static constexpr int few_rows = 4 * tile_rows;
  static std::string description() { return "mfma (matrix cores, 32x32x8 and 16x16x16)"; }
  /// Two waves a SIMD, each with half of its registers. Of small teams, as many as the shared
  /// memory of a compute unit holds.
  using launch_bounds = Kokkos::LaunchBounds<Shape.waves * Lane::lanes, 2>;
  static constexpr int teams_at_once =
      std::min(8 / Shape.waves, Lane::shared_memory / (stage_type::shared_bytes + 256));
  static_assert(teams_at_once > 0);

  /// Work items that fill the device once: of equal length, they end together.
  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return std::int64_t(multiprocessors(exec)) * teams_at_once;
  }
  static constexpr std::size_t scratch_bytes(int, int) { return stage_type::shared_bytes; }

  template <class Team>
  KOKKOS_FUNCTION mfma_tile(const Team& team, const kernel::problem<Element>& p)
      : lane_(team, stage_type::shared_bytes),
        panel_(lane_, p.query_factor()),
        value_size_(p.value_size()),
        staged_(lane_, p) {}

  KOKKOS_FUNCTION int first_panel() const { return lane_.wave(); }
  template <class Work> KOKKOS_FUNCTION Work keep(const Work& work) const {
    return lane_.keep(work);
  }

  template <class Visible>
  KOKKOS_FUNCTION void load_queries(const kernel::problem<Element>& p,
                                    const kernel::tile_rows& rows, const kernel::key_tile& first,
                                    const Visible&) {
    const int r = lane_.wave() * T + panel_type::row(lane_.lane());
    DELTA_ATTENTION_UNROLL
    for (int c = 0; c < D / chunk; ++c) {
      const int channel = chunk * c + 8 * part();
      query_[c] = {};
      if (r < rows.count && channel < p.head_size())
        query_[c] =
            lane_.template load<words4>(p.q.row(rows.batch, rows.token(r), rows.head(r)) + channel);
    }
    const std::uint32_t signs = p.query_factor() < 0 ? 0x80008000u : 0;
    DELTA_ATTENTION_UNROLL
    for (int c = 0; c < D / chunk; ++c) {
      DELTA_ATTENTION_UNROLL
      for (std::uint32_t& word : query_[c].v) word ^= signs;
      // Left open, these loads would be waited for inside of the loop, and there all others too.
      lane_.settle(query_[c]);
    }
    panel_.clear();
    staged_.begin(p, rows.batch, rows.kv_head);
    if (first.keys.size() > 0) {
      staged_.fetch_keys(first.keys.begin);
      staged_.fetch_values(first.keys.begin);
    }
  }
  template <class Visible>
  KOKKOS_FUNCTION void stage(const kernel::problem<Element>&, const kernel::tile_rows&,
                             const kernel::key_tile& tile, const kernel::key_tile& following,
                             const Visible& visible) {
    lane_.phase();
    lane_.barrier();  // all are through with the tile before
    // Never fetched under a condition: after a load that may not have been, all are waited for.
    const std::int64_t next = (following.keys.size() > 0 ? following : tile).keys.begin;
    staged_.put_keys();
    staged_.fetch_keys(next);
    staged_.put_values(tile, visible);
    staged_.fetch_values(next);
    lane_.barrier();
    lane_.phase();
  }

  KOKKOS_FUNCTION void scores(int, mask::key_range) {
    auto& s = panel_.scores;
    DELTA_ATTENTION_UNROLL
    for (int b = 0; b < N / T; ++b) s[b] = {};
    constexpr int blocks = N / T;
    read_ahead<D / chunk * blocks, 2>(
        lane_, [&](int i) { return staged_.key_operand(i % blocks, i / blocks); },
        [&](int i, const auto& key) {
          lane_.template mfma<Element>(s[i % blocks], key, query_[i / blocks]);
        });
    lane_.phase();
    panel_.begin();
  }
  KOKKOS_FUNCTION void softcap(int, mask::key_range, float c) { panel_.softcap(c); }
  template <class Mask>
  KOKKOS_FUNCTION void hide(int panel, const kernel::tile_rows& rows, mask::key_range keys,
                            const Mask& m) {
    const int first = panel * panel_rows;
    panel_.hide(first, rows, rows.block(first, first + panel_rows), keys, m);
  }
  KOKKOS_FUNCTION void weigh(int, mask::key_range) { panel_.weigh(); }
  KOKKOS_FUNCTION void weighted_sum(int, mask::key_range) {
    panel_.rescale();
    lane_.phase();
    constexpr int pairs =
        D / T / 2;  // two blocks of channels at a time: one instruction reads both
    read_ahead<N / panel_type::step * pairs, 2>(
        lane_,
        [&](int i) {
          const int s = i / pairs, c = i % pairs * 2;
          return pair<decltype(staged_.value_operand(s, c))>{staged_.value_operand(s, c),
                                                             staged_.value_operand(s, c + 1)};
        },
        [&](int i, const auto& values) {
          auto& output = panel_.output;
          const words2& weights = panel_.weights[i / pairs];
          lane_.template mfma<Element>(output[i % pairs * 2], values.first, weights);
          lane_.template mfma<Element>(output[i % pairs * 2 + 1], values.second, weights);
        });
    lane_.phase();
  }

  template <class Epilogue>
  KOKKOS_FUNCTION void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) {
    panel_.store(lane_.wave() * T, rows, split, value_size_, epilogue);
  }

 private:
  // A lane takes eight neighbouring channels of a key or query, and spends them on two
  // instructions: which channel meets which is free, as long as both sides do the same.
  static constexpr int chunk = 8 * panel_type::parts;
  KOKKOS_FUNCTION int part() const { return lane_.lane() / T; }

  template <class Operand> struct pair {
    Operand first, second;
  };

  Lane lane_;
  panel_type panel_;
  int value_size_;
  words4 query_[D / chunk];
  stage_type staged_;
};

/// Matrix cores of AMD GPUs of CDNA2 and CDNA3, for 16-bit elements.
template <class Lane> struct mfma_on {
  static std::string description() {
    return mfma_tile<bfloat16, mfma_shape{64, 4, 32, 64}, Lane>::description();
  }
  static constexpr bool rounds_weights = true;

  // As compiled: 256 registers hold 32 rows to d 128; beyond, 16 (docs/performance.md).
  template <class, class, class Element, class F>
  static void with_tile(const kernel::problem<Element>& p, const F& f) {
    with_first_that_fits<mfma_shape{64, 4, 32, 64}, mfma_shape{128, 4, 32, 32},
                         mfma_shape{256, 8, 16, 32}>(p, tile_of<Element>(f));
  }
  // One wave a team: several teams on a compute unit wait for memory in turn.
  template <class, class Element, class F>
  static void with_stream(const kernel::problem<Element>& p, const F& f) {
    with_first_that_fits<mfma_shape{64, 1, 16, 32}, mfma_shape{128, 1, 16, 32},
                         mfma_shape{256, 4, 16, 32}>(p, tile_of<Element>(f));
  }

 private:
  template <class Element, class F> static auto tile_of(const F& f) {
    return [&f]<mfma_shape Shape>() { f(std::type_identity<mfma_tile<Element, Shape, Lane>>{}); };
  }
};

#if defined(DELTA_ATTENTION_HAS_MFMA)
struct mfma : mfma_on<amd_lane> {
  template <class Exec, class Mask, class Element, class F>
  static void with_tile(const kernel::problem<Element>& p, const F& f) {
    if (offsets_fit(p))
      mfma_on::with_tile<Exec, Mask>(p, f);
    else
      scalar::with_tile<Exec, Mask>(p, f);
  }
  template <class Exec, class Element, class F>
  static void with_stream(const kernel::problem<Element>& p, const F& f) {
    if (offsets_fit(p))
      mfma_on::with_stream<Exec>(p, f);
    else
      scalar::with_stream<Exec>(p, f);
  }
  template <class Exec, class Element>
  static constexpr bool covers = std::is_same_v<Exec, Kokkos::HIP> && sizeof(Element) == 2;

 private:
  // A lane's offset from the first key of a tile (of at most 64) has 32 bits.
  template <class Element> static bool offsets_fit(const kernel::problem<Element>& p) {
    constexpr std::int64_t most = (std::int64_t(1) << 32) / (64 * sizeof(Element)) - 256;
    return p.k.token_stride < most && p.v.token_stride < most;
  }
};
#endif

}  // namespace delta_attention::arch
