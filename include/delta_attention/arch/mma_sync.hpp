#pragma once

#include <delta_attention/arch/cuda_lane.hpp>
#include <delta_attention/arch/mma_panel.hpp>
#include <delta_attention/arch/mma_stage.hpp>
#include <delta_attention/arch/read_ahead.hpp>
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

/// mma.sync m16n8k16, from sm_80 on (PTX ISA 9.7.14): S = Q K^T and O += P V with float16 or
/// bfloat16 operands and float accumulators, which arch/mma_panel.hpp holds. Queries stay in shared
/// memory; keys and values are copied there asynchronously (cp.async) one tile ahead
/// (arch/mma_stage.hpp), so that a tile costs one barrier.
template <class Element, mma_shape Shape, class Lane> class mma_sync_tile {
  static constexpr int M = Shape.row_blocks, D = Shape.channels, N = Shape.keys_at_once;
  static constexpr int threads = Shape.warps * Lane::lanes;
  static_assert(Shape.keys % N == 0 && N % 32 == 0);
  using stage_type = mma_stage<Element, Shape, Lane>;

 public:
  using accumulator = float;
  using lane_type = Lane;
  using panel_type = mma_panel<Element, M, N, D, Lane>;
  static constexpr int team_size = threads, vector_length = 1, panel_rows = 16 * M,
                       panel_step = Shape.warps, tile_rows = Shape.warps * panel_rows,
                       tile_keys = Shape.keys, step_keys = N, scratch_level = 0,
                       scratch_alignment = Lane::alignment;
  static constexpr int work_bytes = 192,
                       shared_bytes = stage_type::shared_bytes + Shape.warps * work_bytes;
  static constexpr bool skips_keys = false, several_kv_heads = false, shares_cache = true;
  static constexpr int few_rows = tile_rows < 64 ? 64 : tile_rows;
  static std::string description() { return "mma_sync (tensor cores, m16n8k16)"; }
  /// As many teams on a multiprocessor as its shared memory holds (a team has 2 KiB besides its
  /// own), but at most two of four warps: more would spill registers.
  static constexpr int teams_fit = Lane::shared_memory / (shared_bytes + 2048),
                       teams_at_once = Shape.warps > 1 && teams_fit > 2 ? 2 : teams_fit;
  static_assert(teams_fit > 0);
  using launch_bounds = Kokkos::LaunchBounds<threads, teams_at_once>;

  /// Work items that fill the device once: of equal length, they end together.
  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return std::int64_t(multiprocessors(exec)) * teams_at_once;
  }
  static constexpr std::size_t scratch_bytes(int, int) { return shared_bytes; }

  template <class Team>
  KOKKOS_FUNCTION mma_sync_tile(const Team& team, const kernel::problem<Element>& p)
      : lane_(team, shared_bytes), stage_(lane_), panel_(lane_, p), value_size_(p.value_size()) {}

  KOKKOS_FUNCTION int first_panel() const { return lane_.warp(); }
  template <class Work> KOKKOS_FUNCTION const Work& keep(const Work& work) const {
    static_assert(sizeof(Work) <= work_bytes);
    return lane_.keep(lane_.origin() + stage_type::shared_bytes + lane_.warp() * work_bytes, work);
  }

  template <class Visible>
  KOKKOS_FUNCTION void load_queries(const kernel::problem<Element>& p,
                                    const kernel::tile_rows& rows, const kernel::key_tile& first,
                                    const Visible& visible) {
    lane_.template wait_copies<0>();
    lane_.barrier();  // the team's last work item may still be read
    stage_.begin(p, rows);
    stage_.fetch(p, first, visible);
    panel_.clear_output();
    panel_.clear_statistics();
  }
  template <class Visible>
  KOKKOS_FUNCTION void stage(const kernel::problem<Element>& p, const kernel::tile_rows&,
                             const kernel::key_tile& tile, const kernel::key_tile& following,
                             const Visible& visible) {
    tile_begin_ = tile.keys.begin;
    lane_.template wait_copies<0>();
    lane_.barrier();  // this tile is there for all, and all are through with the one before
    stage_.turn();
    stage_.fetch(p, following, visible);
  }

  KOKKOS_FUNCTION void scores(int, mask::key_range keys) {
    const int first = first_in_tile(keys);
    auto& s = panel_.scores;
    DELTA_ATTENTION_UNROLL
    for (int m = 0; m < M; ++m) {
      DELTA_ATTENTION_UNROLL
      for (int n = 0; n < N / 8; ++n) {
        DELTA_ATTENTION_UNROLL
        for (int e = 0; e < 4; ++e) s[m][n][e] = 0.f;
      }
    }
    struct operands {
      words4 q[M], k[N / 16];
    };
    read_ahead<D / 16, 1>(
        lane_,
        [&](int c) {
          operands x;
          DELTA_ATTENTION_UNROLL
          for (int m = 0; m < M; ++m) x.q[m] = stage_.query(16 * m, c);
          DELTA_ATTENTION_UNROLL
          for (int n = 0; n < N / 16; ++n) x.k[n] = stage_.key(first, 16 * n, c);
          return x;
        },
        [&](int, const operands& x) {
          DELTA_ATTENTION_UNROLL
          for (int n = 0; n < N / 16; ++n) {
            const words4& k = x.k[n];
            DELTA_ATTENTION_UNROLL
            for (int m = 0; m < M; ++m) {
              lane_.template mma<Element>(s[m][2 * n], x.q[m], k.v[0], k.v[1]);
              lane_.template mma<Element>(s[m][2 * n + 1], x.q[m], k.v[2], k.v[3]);
            }
          }
        });
  }
  KOKKOS_FUNCTION void softcap(int, mask::key_range, float c) { panel_.softcap(c); }
  template <class Mask>
  KOKKOS_FUNCTION void hide(int panel, const kernel::tile_rows& rows, mask::key_range keys,
                            const Mask& m) {
    const int first = panel * panel_rows;
    panel_.hide(first, rows, rows.block(first, first + panel_rows), keys, m);
  }
  KOKKOS_FUNCTION void weigh(int, mask::key_range) {
    if (panel_.looks() && !panel_.fits()) {
      const bool follow = !kernel::keeps_maxima<Element> || again_;
      const auto factor = panel_.raise(follow, rising_);
      if (follow) panel_.rescale(factor);
    }
    panel_.exponentials();
    panel_.pack_weights();
  }
  KOKKOS_FUNCTION void weighted_sum(int, mask::key_range keys) {
    const int first = first_in_tile(keys);
    read_ahead<N / 16 * (D / 16), 2>(
        lane_, [&](int i) { return stage_.value(first, i / (D / 16) * 16, i % (D / 16)); },
        [&](int i, const words4& v) {
          const int k = i / (D / 16), c = i % (D / 16);
          DELTA_ATTENTION_UNROLL
          for (int m = 0; m < M; ++m) {
            const words4& weights = panel_.weights[m][k];
            lane_.template mma<Element>(panel_.output[m][2 * c], weights, v.v[0], v.v[1]);
            lane_.template mma<Element>(panel_.output[m][2 * c + 1], weights, v.v[2], v.v[3]);
          }
        });
  }

  /// Rows share the team's keys: all are computed again where one has to be.
  KOKKOS_FUNCTION bool comes_again() {
    if constexpr (!kernel::keeps_maxima<Element>) return false;
    std::uint32_t rising = 0;
    if (!again_) {
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < 2 * M; ++i) rising |= panel_.of_row(panel_.overflow(i)) << i;
    }
    rising_ = rising;
    again_ = lane_.any_of_team(rising != 0);
    return again_;
  }
  template <class Epilogue>
  KOKKOS_FUNCTION void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) {
    panel_.store(lane_.warp() * panel_rows, rows, split, value_size_, epilogue);
  }

 private:
  KOKKOS_FUNCTION int first_in_tile(mask::key_range keys) const {
    return Shape.keys == N ? 0 : int(keys.begin - tile_begin_);
  }

  Lane lane_;
  stage_type stage_;
  panel_type panel_;
  std::int64_t tile_begin_ = 0;
  // Of the lane's rows those that rise: where maxima are kept, for whose sake all come again.
  std::uint32_t rising_ = kernel::keeps_maxima<Element> ? 0 : ~0u;
  bool again_ = false;
  int value_size_;
};

/// Tensor cores of NVIDIA GPUs from sm_80 on, for 16-bit elements.
template <class Lane> struct mma_sync_on {
  static std::string description() {
    return mma_sync_tile<bfloat16, mma_shape{64, 1, 1, 64, 64}, Lane>::description();
  }
  static constexpr bool rounds_weights = true;

  // At d 128 32 keys at once are what registers hold. 64 are staged where two such teams fit into
  // shared memory. Where 100 KiB must do, tiles of d 256 are smaller.
  template <class, class, class Element, class F>
  static void with_tile(const kernel::problem<Element>& p, const F& f) {
    constexpr int warps = Lane::shared_memory > 100 << 10 ? 4 : 2,
                  keys = Lane::shared_memory > 200 << 10 ? 64 : 32;
    with_first_that_fits<mma_shape{64, 4, 2, 64, 64}, mma_shape{128, 4, 2, keys, 32},
                         mma_shape{256, warps, 1, 32, 32}>(p, tile_of<Element>(f));
  }
  // One warp a team: several teams on a multiprocessor wait for memory in turn. (d 128 in tiles of
  // 32 keys, five teams: one row over 131K keys took 0.32 ms instead of 0.27.) More rows than a
  // warp has are four warps', which share the keys.
  template <class, class Element, class F>
  static void with_stream(const kernel::problem<Element>& p, const F& f) {
    if (p.queries() * p.group() > 16)
      with_first_that_fits<mma_shape{64, 4, 1, 64, 64}, mma_shape{128, 4, 1, 64, 64},
                           mma_shape{256, 4, 1, 32, 32}>(p, tile_of<Element>(f));
    else
      with_first_that_fits<mma_shape{64, 1, 1, 64, 64}, mma_shape{128, 1, 1, 64, 64},
                           mma_shape{256, 1, 1, 32, 32}>(p, tile_of<Element>(f));
  }

 private:
  template <class Element, class F> static auto tile_of(const F& f) {
    return
        [&f]<mma_shape Shape>() { f(std::type_identity<mma_sync_tile<Element, Shape, Lane>>{}); };
  }
};

#if defined(DELTA_ATTENTION_HAS_MMA_SYNC)
struct mma_sync : mma_sync_on<cuda_lane> {
  template <class Exec, class Element>
  static constexpr bool covers = std::is_same_v<Exec, Kokkos::Cuda> && sizeof(Element) == 2;
};
#endif

}  // namespace delta_attention::arch
