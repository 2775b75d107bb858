#pragma once

#include <delta_attention/arch/lane_values.hpp>
#include <delta_attention/arch/unroll.hpp>
#include <delta_attention/arch/words.hpp>
#include <delta_attention/kernel/problem.hpp>

#include <cstdint>
#include <type_traits>

namespace delta_attention::arch {

/// The shape of a team's tile: each wave carries the `rows` of one matrix instruction (32 or 16)
/// and all keys of a tile.
struct mfma_shape {
  int channels;  // d and dv are padded to this many: 64, 128 or 256
  int waves, rows, keys;
};

/// How a tile's keys and values get to AMD's matrix instructions: from memory to registers (fetch),
/// on their way while the tile before is worked on; from registers to shared memory (put), values
/// transposed; and from there as a lane's operands of an instruction. Each thread of the team
/// copies its part. When, and between which barriers, is the atom's business.
template <class Element, mfma_shape Shape, class Lane> class mfma_stage {
  static constexpr int T = Shape.rows, D = Shape.channels, N = Shape.keys;
  static constexpr int threads = Shape.waves * Lane::lanes, parts = Lane::lanes / T;

 public:
  static constexpr int shared_bytes = 4 * D * N;

  KOKKOS_FUNCTION mfma_stage(const Lane& lane, const kernel::problem<Element>& p)
      : lane_(lane),
        keys_(p.k, lane.thread() / key_pieces, lane.thread() % key_pieces * 8),
        values_(p.v, lane.thread() / value_pieces * 4, lane.thread() % value_pieces * value_width),
        key_operand_(key_place(lane.lane() % T, lane.lane() / T)),
        value_operand_(value_place(lane.lane() / T, lane.lane() % T)),
        padding_(lane.thread() % key_pieces * 8 >= p.head_size()) {}

  /// The tiles from here on are of these keys.
  KOKKOS_FUNCTION void begin(const kernel::problem<Element>& p, int batch, int kv_head) {
    keys_.begin = p.k.row(batch, 0, kv_head);
    values_.begin = p.v.row(batch, 0, kv_head);
  }
  KOKKOS_FUNCTION void fetch_keys(std::int64_t key) {
    fetch_rows(key_, keys_, key, [](int r) { return r * row_step; });
  }
  KOKKOS_FUNCTION void fetch_values(std::int64_t key) {
    fetch_rows(value_, values_, key, [](int r) { return r / 4 * (4 * quad_step) + r % 4; });
  }
  KOKKOS_FUNCTION void put_keys() {
    const int row = lane_.thread() / key_pieces, piece = lane_.thread() % key_pieces;
    if (lane_.any(lane_.opaque(padding_) != 0)) {
      // Zeros, as the queries have there: 0 times another channel's infinity is a NaN.
      DELTA_ATTENTION_UNROLL
      for (int r = 0; r < rows; ++r) {
        DELTA_ATTENTION_UNROLL
        for (std::uint32_t& word : key_[r].v) word = padding_ != 0 ? 0 : word;
      }
    }
    DELTA_ATTENTION_UNROLL
    for (int r = 0; r < rows; ++r)
      lane_.shared_store(lane_.origin() + key_place(row + r * row_step, piece), key_[r]);
  }
  template <class Visible>
  KOKKOS_FUNCTION void put_values(const kernel::key_tile& tile, const Visible& visible) {
    const int quad = lane_.thread() / value_pieces,
              channel = lane_.thread() % value_pieces * value_width;
    if (!tile.seen || tile.keys.size() < N) {
      // Weight 0 times a NaN is a NaN: values that no row sees are not brought in.
      const auto seen = key_bits<N>::where(lane_, int(tile.keys.size()), [&](int key) {
        return tile.seen || visible.some_row_sees(tile.keys.begin + key);
      });
      DELTA_ATTENTION_UNROLL
      for (int r = 0; r < 4 * quads; ++r) {
        const bool keep = seen[4 * (quad + r / 4 * quad_step) + r % 4];
        DELTA_ATTENTION_UNROLL
        for (int w = 0; w < value_width / 2; ++w) value_[r].v[w] = keep ? value_[r].v[w] : 0;
      }
    }
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < quads; ++i) {
      DELTA_ATTENTION_UNROLL
      for (int w = 0; w < value_width / 2; ++w) {
        const std::uint32_t a = value_[4 * i].v[w], b = value_[4 * i + 1].v[w],
                            c = value_[4 * i + 2].v[w], d = value_[4 * i + 3].v[w];
        lane_.shared_store(lane_.origin() + value_place(quad + i * quad_step, channel + 2 * w),
                           words4{{Lane::low_halves(a, b), Lane::low_halves(c, d),
                                   Lane::high_halves(a, b), Lane::high_halves(c, d)}});
      }
    }
  }

  /// Row T b + lane % T and piece c * parts + part of keys; cells of four keys, s * parts + part,
  /// of channel T c + lane % T: from the lane's first operand, so that most of it is a constant.
  KOKKOS_FUNCTION auto key_operand(int b, int c) const {
    return lane_.template shared_load<words4>(lane_.origin() +
                                              (key_operand_ ^ (c * parts % 8 << 4)) +
                                              c * parts / 8 * 128 + b * (2 * D * T));
  }
  KOKKOS_FUNCTION auto value_operand(int s, int c) const {
    return lane_.template shared_load<words2>(lane_.origin() +
                                              (value_operand_ ^ ((T / 16 * c & swizzle) << 4)) +
                                              c * (8 * T) + s * (parts * 8 * D));
  }

 private:
  // Keys in shared memory: rows of D elements in pieces of 16 bytes, piece c of row r at place
  // c ^ r % 8: reads of a piece of eight rows, and writes of a row, meet all banks.
  static KOKKOS_FUNCTION int key_place(int r, int c) { return r * (2 * D) + ((c ^ (r & 7)) << 4); }
  // Values: cells of 8 bytes hold four keys of a channel. A thread transposes four keys of
  // value_width channels; pairs of cells are swizzled for the sake of its writes.
  static constexpr int value_width = N / 4 * (D / 8) % threads == 0 ? 8 : 4,
                       swizzle = value_width / 2 - 1;
  static KOKKOS_FUNCTION int value_place(int quad, int channel) {
    const int pair = channel / 2;
    return 2 * D * N + quad * (8 * D) + ((pair ^ (pair / 8 & swizzle)) << 4) + channel % 2 * 8;
  }

  // How a thread copies: it has its piece of every row_step-th row of keys, or of values of every
  // quad_step-th four keys.
  static constexpr int key_pieces = D / 8, row_step = threads / key_pieces, rows = N / row_step,
                       value_pieces = D / value_width, quad_step = threads / value_pieces,
                       quads = N / 4 / quad_step;
  static_assert(rows * row_step == N && quads * quad_step * 4 == N);
  using value_words = std::conditional_t<value_width == 8, words4, words2>;

  // Rows of keys or values of one kv head, as a thread reads them.
  struct source {
    const Element* begin = nullptr;
    std::int64_t tokens, stride;
    std::uint32_t row, channel;
    KOKKOS_FUNCTION source(const tensor<const Element>& t, int r, int c)
        : tokens(t.tokens),
          stride(t.token_stride),
          row(std::uint32_t(r)),
          // For channels beyond the last others are read: of keys put_keys makes zeros, values are
          // stored by nobody.
          channel(std::uint32_t(c < int(t.channels) ? c : int(t.channels) - 8)) {}
  };

  // Rows r = 0, 1, ... of what the thread copies, `first(r)` and its own row further, of a tile.
  template <class Words, int Count, class First>
  KOKKOS_FUNCTION void fetch_rows(Words (&to)[Count], const source& from, std::int64_t key,
                                  const First& first) const {
    const Element* tile = from.begin + key * from.stride;
    if (key + N <= from.tokens) {
      const std::uint32_t mine = 2 * (from.row * std::uint32_t(from.stride) + from.channel);
      DELTA_ATTENTION_UNROLL
      for (int r = 0; r < Count; ++r)
        to[r] = lane_.template load<Words>(tile + first(r) * from.stride, mine);
    } else {  // the last row stands for those beyond
      const std::uint32_t last = std::uint32_t(from.tokens - 1 - key);
      DELTA_ATTENTION_UNROLL
      for (int r = 0; r < Count; ++r) {
        const std::uint32_t row = from.row + first(r), in = row < last ? row : last;
        to[r] =
            lane_.template load<Words>(tile, 2 * (in * std::uint32_t(from.stride) + from.channel));
      }
    }
  }

  Lane lane_;
  source keys_, values_;
  int key_operand_, value_operand_;
  std::uint32_t padding_;  // are the thread's channels of keys beyond the last?
  words4 key_[rows];
  value_words value_[4 * quads];
};

}  // namespace delta_attention::arch
