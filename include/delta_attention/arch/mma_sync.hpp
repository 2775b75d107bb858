#pragma once

#include <delta_attention/arch/cuda_lane.hpp>
#include <delta_attention/arch/lane_values.hpp>
#include <delta_attention/arch/mma_panel.hpp>
#include <delta_attention/arch/shapes.hpp>
#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/arch/words.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/kernel/softmax.hpp>
#include <delta_attention/mask/algebra.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace delta_attention::arch {

/// The shape of a team's tile: each warp carries 16 * row_blocks rows and all keys of a tile.
struct mma_shape {
  int channels;  // d and dv are padded to this many: 64, 128 or 256
  int warps, row_blocks, keys;
};

/// mma.sync m16n8k16, from sm_80 on (PTX ISA 9.7.14): S = Q K^T and O += P V with float16 or
/// bfloat16 operands and float accumulators, which arch/mma_panel.hpp holds. Queries stay in shared
/// memory; keys and values are copied there asynchronously (cp.async) one tile ahead, in two
/// buffers, so that a tile costs one barrier.
template <class Element, mma_shape Shape, class Lane> class mma_sync_tile {
  static constexpr int M = Shape.row_blocks, D = Shape.channels, N = Shape.keys;
  static constexpr int threads = Shape.warps * Lane::lanes;

 public:
  using accumulator = float;
  using lane_type = Lane;
  using panel_type = mma_panel<Element, M, N, D, Lane>;
  using row_values = typename panel_type::row_values;
  static constexpr int team_size = threads, vector_length = 1, panel_rows = 16 * M,
                       panel_step = Shape.warps, tile_rows = Shape.warps * panel_rows,
                       tile_keys = N, scratch_level = 0, scratch_alignment = Lane::alignment;
  static constexpr int work_bytes = 192,
                       shared_bytes = 2 * D * (tile_rows + 4 * N) + Shape.warps * work_bytes;
  static constexpr bool skips_keys = false, several_kv_heads = false, shares_cache = true;
  static constexpr int few_tiles = tile_rows < 64 ? 64 / tile_rows : 1;
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
      : lane_(team, shared_bytes), panel_(lane_, p.query_factor()), value_size_(p.value_size()) {
    const int l = lane_.lane();
    query_ = place(queries, lane_.warp() * panel_rows + l % 16, l / 16);
    key_ = place(buffers, l % 8 + l / 16 * 8, l / 8 % 2);
    value_ = place(buffers + buffer_bytes, l % 16, l / 16);
  }

  KOKKOS_FUNCTION int first_panel() const { return lane_.warp(); }
  template <class Work> KOKKOS_FUNCTION const Work& keep(const Work& work) const {
    static_assert(sizeof(Work) <= work_bytes);
    return lane_.keep(lane_.origin() + works + lane_.warp() * work_bytes, work);
  }

  template <class Visible>
  KOKKOS_FUNCTION void load_queries(const kernel::problem<Element>& p,
                                    const kernel::tile_rows& rows, const kernel::key_tile& first,
                                    const Visible& visible) {
    lane_.template wait_copies<0>();
    lane_.barrier();  // the team's last work item may still be read
    const bool whole_queries = rows_are_aligned(p.q);
    whole_keys_ = rows_are_aligned(p.k);
    whole_values_ = rows_are_aligned(p.v);
    DELTA_ATTENTION_NO_UNROLL
    for (int r = first_row(); r < tile_rows; r += row_step) {
      const bool exists = r < rows.count && 8 * piece() < p.head_size();
      const Element* from =
          exists ? p.q.row(rows.batch, rows.token(r), rows.head(r)) + 8 * piece() : nullptr;
      copy_piece(place(queries, r, piece()), from, exists, whole_queries);
    }
    key_source_ = p.k.row(rows.batch, first_row(), rows.kv_head) + 8 * piece();
    value_source_ = p.v.row(rows.batch, first_row(), rows.kv_head) + 8 * piece();
    buffer_ = 1;
    fetch(p, first, visible);
    panel_.clear_output();
    panel_.clear_statistics();
  }
  template <class Visible>
  KOKKOS_FUNCTION void stage(const kernel::problem<Element>& p, const kernel::tile_rows&,
                             const kernel::key_tile&, const kernel::key_tile& following,
                             const Visible& visible) {
    lane_.template wait_copies<0>();
    lane_.barrier();  // this tile is there for all, and all are through with the one before
    buffer_ ^= 1;
    fetch(p, following, visible);
  }

  KOKKOS_FUNCTION row_values scores(int, mask::key_range keys) {
    auto& s = panel_.scores;
    DELTA_ATTENTION_UNROLL
    for (int m = 0; m < M; ++m) {
      DELTA_ATTENTION_UNROLL
      for (int n = 0; n < N / 8; ++n) {
        DELTA_ATTENTION_UNROLL
        for (int e = 0; e < 4; ++e) s[m][n][e] = 0.f;
      }
    }
    const int key = key_ + buffer_ * (2 * buffer_bytes);
    DELTA_ATTENTION_UNROLL
    for (int c = 0; c < D / 16; ++c) {
      words4 q[M];
      DELTA_ATTENTION_UNROLL
      for (int m = 0; m < M; ++m) q[m] = lane_.load_matrices(operand(query_, 16 * m, c), false);
      DELTA_ATTENTION_UNROLL
      for (int n = 0; n < N / 16; ++n) {
        const words4 k = lane_.load_matrices(operand(key, 16 * n, c), false);
        DELTA_ATTENTION_UNROLL
        for (int m = 0; m < M; ++m) {
          lane_.template mma<Element>(s[m][2 * n], q[m], k.v[0], k.v[1]);
          lane_.template mma<Element>(s[m][2 * n + 1], q[m], k.v[2], k.v[3]);
        }
      }
    }
    return panel_.begin(int(keys.size()));
  }
  KOKKOS_FUNCTION row_values softcap(int, mask::key_range keys, float c) {
    return panel_.softcap(int(keys.size()), c);
  }
  template <class Mask>
  KOKKOS_FUNCTION row_values hide(int panel, const kernel::tile_rows& rows, mask::key_range keys,
                                  const Mask& m) {
    const int first = panel * panel_rows;
    return panel_.hide(first, rows, rows.block(first, first + panel_rows), keys, m);
  }
  KOKKOS_FUNCTION row_values exponentials(int, mask::key_range, const row_values& reference) {
    const row_values sum = panel_.exponentials(reference);
    panel_.pack_weights();
    return sum;
  }
  KOKKOS_FUNCTION void weighted_sum(int, mask::key_range, const row_values& factor) {
    panel_.rescale(factor);
    const int value = value_ + buffer_ * (2 * buffer_bytes);
    DELTA_ATTENTION_UNROLL
    for (int k = 0; k < N / 16; ++k) {
      DELTA_ATTENTION_UNROLL
      for (int c = 0; c < D / 16; ++c) {
        const words4 v = lane_.load_matrices(operand(value, 16 * k, c), true);
        DELTA_ATTENTION_UNROLL
        for (int m = 0; m < M; ++m) {
          const words4& weights = panel_.weights[m][k];
          lane_.template mma<Element>(panel_.output[m][2 * c], weights, v.v[0], v.v[1]);
          lane_.template mma<Element>(panel_.output[m][2 * c + 1], weights, v.v[2], v.v[3]);
        }
      }
    }
  }
  KOKKOS_FUNCTION kernel::online_softmax<row_values>& statistics(int) { return panel_.softmax; }

  template <class Epilogue>
  KOKKOS_FUNCTION void store(const kernel::tile_rows& rows, int split, const Epilogue& epilogue) {
    panel_.store(lane_.warp() * panel_rows, rows, split, value_size_, epilogue);
  }

 private:
  // Shared memory: queries, then keys and values of two tiles, as rows of D elements in pieces of
  // 16 bytes.
  static constexpr int queries = 0, buffers = 2 * D * tile_rows, buffer_bytes = 2 * D * N,
                       works = buffers + 4 * buffer_bytes;

  // Piece c of row r lies at c ^ r % 8, so that eight rows' same piece is in all banks.
  KOKKOS_FUNCTION int place(int base, int r, int c) const {
    return lane_.origin() + base + r * (2 * D) + ((c ^ (r & 7)) << 4);
  }
  // From the place of a lane's first operand to that of `row` (a multiple of 8) rows and 2 c pieces
  // further.
  static KOKKOS_FUNCTION int operand(int first, int row, int c) {
    return (first ^ (c << 5)) + row * (2 * D);
  }
  // Copying goes by pieces of 16 bytes; a thread copies the same piece of every row_step-th row.
  static constexpr int pieces = D / 8, row_step = threads / pieces;
  KOKKOS_FUNCTION int first_row() const { return lane_.thread() / pieces; }
  KOKKOS_FUNCTION int piece() const { return lane_.thread() % pieces; }

  // One piece, from memory that may lie anywhere; zeros where there is none.
  KOKKOS_FUNCTION void copy_piece(int at, const Element* from, bool exists, bool whole) const {
    if (whole) {
      lane_.copy_async(at, exists ? from : nullptr, exists);
    } else {
      words4 x = {};
      if (exists)
        for (int e = 0; e < 8; ++e)
          x.v[e / 2] |= std::uint32_t(lane_.load(from + e).bits) << (e % 2 * 16);
      lane_.shared_store(at, x);
    }
  }
  // Rows of a tile that are `stride` elements apart, of which the thread's first piece is at
  // `from`; zeros for those not wanted and for channels beyond the last.
  template <class Wanted>
  KOKKOS_FUNCTION void copy_tile(int to, const Element* from, std::int64_t stride, int channels,
                                 bool whole, int count, bool all_wanted,
                                 const Wanted& wanted) const {
    static_assert(threads % pieces == 0 && N % row_step == 0);
    const bool exists = 8 * piece() < channels;
    if (whole & (count == N) & all_wanted & (D == channels)) {
      DELTA_ATTENTION_UNROLL
      for (int i = 0; i < N / row_step; ++i) {
        lane_.copy_async(place(to, first_row() + i * row_step, piece()), from, true);
        from += row_step * stride;
      }
    } else {
      const auto rows =
          key_bits<N>::where(lane_, count, [&](int key) { return all_wanted || wanted(key); });
      DELTA_ATTENTION_NO_UNROLL
      for (int i = 0; i < N / row_step; ++i) {
        const int r = first_row() + i * row_step;
        copy_piece(place(to, r, piece()), from, exists & rows[r], whole);
        from += row_step * stride;
      }
    }
  }
  // Keys and values of a tile, to the buffer that is not in use.
  template <class Visible>
  KOKKOS_FUNCTION void fetch(const kernel::problem<Element>& p, const kernel::key_tile& tile,
                             const Visible& visible) const {
    const mask::key_range keys = tile.keys;
    const int count = int(keys.size()), to = buffers + (buffer_ ^ 1) * (2 * buffer_bytes);
    if (count > 0) {
      copy_tile(to, key_source_ + keys.begin * p.k.token_stride, p.k.token_stride, p.head_size(),
                whole_keys_, count, true, [](int) { return true; });
      // Weight 0 times a NaN is a NaN: values that no row sees are not brought in.
      copy_tile(to + buffer_bytes, value_source_ + keys.begin * p.v.token_stride, p.v.token_stride,
                p.value_size(), whole_values_, count, tile.seen,
                [&](int key) { return visible.some_row_sees(keys.begin + key); });
    }
    lane_.commit_copies();
  }

  Lane lane_;
  panel_type panel_;
  int value_size_, buffer_ = 0;
  int query_, key_, value_;  // where the lane's operands begin
  const Element *key_source_ = nullptr, *value_source_ = nullptr;  // the thread's pieces of key 0
  bool whole_keys_ = false, whole_values_ = false;
};

/// Tensor cores of NVIDIA GPUs from sm_80 on, for 16-bit elements.
template <class Lane> struct mma_sync_on {
  static std::string description() {
    return mma_sync_tile<bfloat16, mma_shape{64, 1, 1, 64}, Lane>::description();
  }
  static constexpr bool rounds_weights = true;

  // d 128: bench/results/2026-11-24-nvidia-h100-development.json, against tiles of 32 keys; the
  // others are not compared yet. Where 100 KiB must do, tiles are smaller.
  template <class, class, class Element, class F>
  static void with_tile(const kernel::problem<Element>& p, const F& f) {
    if constexpr (Lane::shared_memory > 100 << 10)
      with_first_that_fits<mma_shape{64, 4, 2, 64}, mma_shape{128, 4, 2, 64},
                           mma_shape{256, 4, 1, 32}>(p, tile_of<Element>(f));
    else
      with_first_that_fits<mma_shape{64, 4, 2, 64}, mma_shape{128, 4, 2, 32},
                           mma_shape{256, 2, 1, 32}>(p, tile_of<Element>(f));
  }
  // One warp a team: several teams on a multiprocessor wait for memory in turn. (d 128 in tiles of
  // 32 keys, five teams: one row over 131K keys took 0.32 ms instead of 0.27.) More rows than a
  // warp has are four warps', which share the keys.
  template <class, class Element, class F>
  static void with_stream(const kernel::problem<Element>& p, const F& f) {
    if (p.queries() * p.group() > 16)
      with_first_that_fits<mma_shape{64, 4, 1, 64}, mma_shape{128, 4, 1, 64},
                           mma_shape{256, 4, 1, 32}>(p, tile_of<Element>(f));
    else
      with_first_that_fits<mma_shape{64, 1, 1, 64}, mma_shape{128, 1, 1, 64},
                           mma_shape{256, 1, 1, 32}>(p, tile_of<Element>(f));
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
