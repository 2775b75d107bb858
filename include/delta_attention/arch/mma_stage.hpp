#pragma once

#include <delta_attention/arch/lane_values.hpp>
#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/arch/words.hpp>
#include <delta_attention/kernel/problem.hpp>
#include <delta_attention/mask/algebra.hpp>

#include <cstdint>

namespace delta_attention::arch {

/// The shape of a team's tile: each warp carries 16 * row_blocks rows and all keys of a tile, some
/// at once.
struct mma_shape {
  int channels;  // d and dv are padded to this many: 64, 128 or 256
  int warps, row_blocks, keys, keys_at_once;
};

/// Where a tile's queries, keys and values lie in shared memory, how they get there and how a lane
/// reads them as operands. Keys and values have two buffers: while one is read, the next tile is
/// copied to the other. When, and between which barriers, is the atom's business.
template <class Element, mma_shape Shape, class Lane> class mma_stage {
  static constexpr int D = Shape.channels, N = Shape.keys, threads = Shape.warps * Lane::lanes,
                       panel_rows = 16 * Shape.row_blocks, tile_rows = Shape.warps * panel_rows;

 public:
  static constexpr int shared_bytes = 2 * D * (tile_rows + 4 * N);

  KOKKOS_FUNCTION explicit mma_stage(const Lane& lane) : lane_(lane) {
    const int l = lane_.lane();
    query_ = place(queries, lane_.warp() * panel_rows + l % 16, l / 16);
    key_ = place(buffers, l % 8 + l / 16 * 8, l / 8 % 2);
    value_ = place(buffers + buffer_bytes, l % 16, l / 16);
  }

  /// Queries are copied, and the tiles from here on are of these rows' keys.
  KOKKOS_FUNCTION void begin(const kernel::problem<Element>& p, const kernel::tile_rows& rows) {
    const bool negative = p.query_factor() < 0, aligned = rows_are_aligned(p.q);
    const int count = 8 * piece() < p.head_size() ? rows.count : 0;
    kernel::row_steps<const Element> row(p.q, rows, first_row(), row_step);
    DELTA_ATTENTION_NO_UNROLL
    for (int r = first_row(); r < tile_rows; r += row_step, ++row) {
      const bool exists = r < count;
      const Element* from = exists ? *row + 8 * piece() : nullptr;
      const int at = place(queries, r, piece());
      if (aligned && !negative)
        lane_.copy_async(at, from, exists);
      else
        lane_.shared_store(at, negative ? negated(gather(from, exists)) : gather(from, exists));
    }
    key_source_ = p.k.row(rows.batch, first_row(), rows.kv_head) + 8 * piece();
    value_source_ = p.v.row(rows.batch, first_row(), rows.kv_head) + 8 * piece();
    plain_ =
        rows_are_aligned(p.k) && rows_are_aligned(p.v) && p.head_size() == D && p.value_size() == D;
    buffer_ = 1;
  }
  /// Keys and values of a tile are copied to the buffer that is not read.
  template <class Visible>
  KOKKOS_FUNCTION void fetch(const kernel::problem<Element>& p, const kernel::key_tile& tile,
                             const Visible& visible) const {
    const int count = int(tile.keys.size()), to = buffers + (buffer_ ^ 1) * (2 * buffer_bytes);
    const Element *keys = key_source_ + tile.keys.begin * p.k.token_stride,
                  *values = value_source_ + tile.keys.begin * p.v.token_stride;
    if (plain_ & tile.seen & (count == N)) {
      copy_whole(to, keys, p.k.token_stride);
      copy_whole(to + buffer_bytes, values, p.v.token_stride);
    } else if (count > 0) {
      copy_rows(to, keys, p.k.token_stride, p.head_size(), rows_are_aligned(p.k),
                key_bits<N>::where(lane_, count, [](int) { return true; }));
      // Weight 0 times a NaN is a NaN: values that no row sees are not brought in.
      copy_rows(to + buffer_bytes, values, p.v.token_stride, p.value_size(), rows_are_aligned(p.v),
                key_bits<N>::where(lane_, count, [&](int key) {
                  return tile.seen || visible.some_row_sees(tile.keys.begin + key);
                }));
    }
    lane_.commit_copies();
  }
  /// What was fetched is read from now on.
  KOKKOS_FUNCTION void turn() { buffer_ ^= 1; }

  // Operands of 16 channels from 16 c on: 16 of the warp's rows; 16 keys from first + key on; and
  // as many values, transposed.
  KOKKOS_FUNCTION words4 query(int row, int c) const {
    return lane_.load_matrices(operand(query_, row, c), false);
  }
  KOKKOS_FUNCTION words4 key(int first, int key, int c) const {
    return lane_.load_matrices(operand(key_ + read(first), key, c), false);
  }
  KOKKOS_FUNCTION words4 value(int first, int key, int c) const {
    return lane_.load_matrices(operand(value_ + read(first), key, c), true);
  }

 private:
  // Shared memory: queries, then keys and values of two tiles, as rows of D elements in pieces of
  // 16 bytes.
  static constexpr int queries = 0, buffers = 2 * D * tile_rows, buffer_bytes = 2 * D * N;

  // Piece c of row r lies at c ^ r % 8, so that eight rows' same piece is in all banks.
  KOKKOS_FUNCTION int place(int base, int r, int c) const {
    return lane_.origin() + base + r * (2 * D) + ((c ^ (r & 7)) << 4);
  }
  // From the first buffer to row `first` of the one that is read.
  KOKKOS_FUNCTION int read(int first) const {
    return buffer_ * (2 * buffer_bytes) + first * (2 * D);
  }
  // From the place of a lane's first operand to that of `row` (a multiple of 8) rows and 2 c pieces
  // further.
  static KOKKOS_FUNCTION int operand(int first, int row, int c) {
    return (first ^ (c << 5)) + row * (2 * D);
  }
  // Copying goes by pieces of 16 bytes; a thread copies the same piece of every row_step-th row.
  static constexpr int pieces = D / 8, row_step = threads / pieces;
  static_assert(threads % pieces == 0 && N % row_step == 0);
  KOKKOS_FUNCTION int first_row() const { return lane_.thread() / pieces; }
  KOKKOS_FUNCTION int piece() const { return lane_.thread() % pieces; }

  // A piece from memory that may lie anywhere; zeros where there is none.
  KOKKOS_FUNCTION words4 gather(const Element* from, bool exists) const {
    words4 x = {};
    if (exists)
      for (int e = 0; e < 8; ++e)
        x.v[e / 2] |= std::uint32_t(lane_.load(from + e).bits) << (e % 2 * 16);
    return x;
  }
  // All rows of a tile, `stride` elements apart, of which the thread's first piece is at `from`.
  KOKKOS_FUNCTION void copy_whole(int to, const Element* from, std::int64_t stride) const {
    const int first = place(to, first_row(), piece());
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < N / row_step; ++i) {
      lane_.copy_async(row_step % 8 == 0 ? first + i * row_step * (2 * D)
                                         : place(to, first_row() + i * row_step, piece()),
                       from, true);
      from += row_step * stride;
    }
  }
  // Those that are wanted, and zeros for others and for channels beyond the last.
  KOKKOS_FUNCTION void copy_rows(int to, const Element* from, std::int64_t stride, int channels,
                                 bool aligned, const key_bits<N>& wanted) const {
    const bool exists = 8 * piece() < channels;
    DELTA_ATTENTION_NO_UNROLL
    for (int i = 0; i < N / row_step; ++i) {
      const int r = first_row() + i * row_step, at = place(to, r, piece());
      const bool is_wanted = exists & wanted[r];
      if (aligned)
        lane_.copy_async(at, is_wanted ? from : nullptr, is_wanted);
      else
        lane_.shared_store(at, gather(from, is_wanted));
      from += row_step * stride;
    }
  }

  Lane lane_;
  int buffer_ = 0;
  int query_, key_, value_;  // where the lane's operands begin
  const Element *key_source_ = nullptr, *value_source_ = nullptr;  // the thread's pieces of key 0
  bool plain_ = false;  // keys and values can be copied by whole rows of whole pieces
};

}  // namespace delta_attention::arch
