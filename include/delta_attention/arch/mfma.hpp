#pragma once

#include <delta_attention/arch/amd_lane.hpp>
#include <delta_attention/arch/lane_values.hpp>
#include <delta_attention/arch/mfma_panel.hpp>
#include <delta_attention/arch/scalar.hpp>
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

/// The shape of a team's tile: each wave carries the `rows` of one matrix instruction (32 or 16)
/// and all keys of a tile.
struct mfma_shape {
  int channels;  // d and dv are padded to this many: 64, 128 or 256
  int waves, rows, keys;
};

/// AMD's matrix instructions from CDNA2 on, 32x32x8 or 16x16x16: S^T = K Q^T and O^T += V^T P^T
/// with float16 or bfloat16 operands and float accumulators, which arch/mfma_panel.hpp holds.
/// Queries stay in registers. A tile's keys and values are on their way from memory to registers
/// while the tile before is worked on, and then put into shared memory, values transposed.
template <class Element, mfma_shape Shape, class Lane> class mfma_tile {
  static constexpr int T = Shape.rows, D = Shape.channels, N = Shape.keys;
  static constexpr int threads = Shape.waves * Lane::lanes;

 public:
  using accumulator = float;
  using lane_type = Lane;
  using panel_type = mfma_panel<Element, T, N, D, Lane>;
  using row_values = typename panel_type::row_values;
  static constexpr int team_size = Shape.waves, vector_length = Lane::lanes, panel_rows = T,
                       panel_step = Shape.waves, tile_rows = Shape.waves * T, tile_keys = N,
                       scratch_level = 0, scratch_alignment = Lane::alignment;
  static constexpr int shared_bytes = 4 * D * N;
  static constexpr bool skips_keys = false, several_kv_heads = false;
  /// Teams go to a chip's dies in turn (eight of MI300X, each with an L2 of its own): with heads
  /// side by side, and as many kv heads, each die has the keys of one.
  static constexpr bool shares_cache = false;
  static constexpr int few_tiles = 4;
  static std::string description() { return "mfma (matrix cores, 32x32x8 and 16x16x16)"; }
  /// Two waves a SIMD, each with half of its registers. Of small teams, as many as the shared
  /// memory of a compute unit holds.
  using launch_bounds = Kokkos::LaunchBounds<threads, 2>;
  static constexpr int teams_at_once =
      std::min(8 / Shape.waves, Lane::shared_memory / (shared_bytes + 256));
  static_assert(teams_at_once > 0);

  /// Work items that fill the device once: of equal length, they end together.
  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return std::int64_t(multiprocessors(exec)) * teams_at_once;
  }
  static constexpr std::size_t scratch_bytes(int, int) { return shared_bytes; }

  template <class Team>
  KOKKOS_FUNCTION mfma_tile(const Team& team, const kernel::problem<Element>& p)
      : lane_(team, shared_bytes),
        panel_(lane_, p.query_factor()),
        value_size_(p.value_size()),
        keys_(p.k, lane_.thread() / key_pieces, lane_.thread() % key_pieces * 8),
        values_(p.v, lane_.thread() / value_pieces * 4,
                lane_.thread() % value_pieces * value_width) {
    key_operand_ = key_place(lane_.lane() % T, part());
    value_operand_ = value_place(part(), lane_.lane() % T);
  }

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
    keys_.begin = p.k.row(rows.batch, 0, rows.kv_head);
    values_.begin = p.v.row(rows.batch, 0, rows.kv_head);
    if (first.keys.size() > 0) {
      fetch_keys(first.keys.begin);
      fetch_values(first.keys.begin);
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
    put_keys();
    fetch_keys(next);
    put_values(tile, visible);
    fetch_values(next);
    lane_.barrier();
    lane_.phase();
  }

  KOKKOS_FUNCTION row_values scores(int, mask::key_range keys) {
    auto& s = panel_.scores;
    DELTA_ATTENTION_UNROLL
    for (int b = 0; b < N / T; ++b) s[b] = {};
    constexpr int blocks = N / T;
    read_ahead<D / chunk * blocks>([&](int i) { return key_operand(i % blocks, i / blocks); },
                                   [&](int i, const auto& key) {
                                     lane_.template mfma<Element>(s[i % blocks], key,
                                                                  query_[i / blocks]);
                                   });
    lane_.phase();
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
    return panel_.exponentials(reference);
  }
  KOKKOS_FUNCTION void weighted_sum(int, mask::key_range, const row_values& factor) {
    panel_.rescale(factor);
    lane_.phase();
    constexpr int pairs =
        D / T / 2;  // two blocks of channels at a time: one instruction reads both
    read_ahead<N / panel_type::step * pairs>(
        [&](int i) {
          return pair<decltype(value_operand(0, 0))>{value_operand(i / pairs, i % pairs * 2),
                                                     value_operand(i / pairs, i % pairs * 2 + 1)};
        },
        [&](int i, const auto& values) {
          auto& output = panel_.output;
          const words2& weights = panel_.weights[i / pairs];
          lane_.template mfma<Element>(output[i % pairs * 2], values.first, weights);
          lane_.template mfma<Element>(output[i % pairs * 2 + 1], values.second, weights);
        });
    lane_.phase();
  }
  KOKKOS_FUNCTION kernel::online_softmax<row_values>& statistics(int) { return panel_.softmax; }

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
  // use(i, read(i)) for all i < Count, with reads on their way meanwhile. (The compiler, after
  // fewer registers than a wave has, would put them off.)
  template <int Count, class Read, class Use>
  KOKKOS_FUNCTION void read_ahead(const Read& read, const Use& use) const {
    constexpr int ahead = 2;
    decltype(read(0)) next[ahead] = {};
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < Count + ahead; ++i) {
      const auto now = next[i % ahead];
      if (i < Count) next[i % ahead] = read(i);
      lane_.phase();
      if (i >= ahead) use(i - ahead, now);
    }
  }

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
  // Row T b + lane % T and piece c * parts + part of keys; cells of four keys, s * parts + part, of
  // channel T c + lane % T: from the lane's first operand, so that most of it is a constant.
  KOKKOS_FUNCTION auto key_operand(int b, int c) const {
    constexpr int parts = panel_type::parts;
    return lane_.template shared_load<words4>(lane_.origin() +
                                              (key_operand_ ^ (c * parts % 8 << 4)) +
                                              c * parts / 8 * 128 + b * (2 * D * T));
  }
  KOKKOS_FUNCTION auto value_operand(int s, int c) const {
    return lane_.template shared_load<words2>(lane_.origin() +
                                              (value_operand_ ^ ((T / 16 * c & swizzle) << 4)) +
                                              c * (8 * T) + s * (panel_type::parts * 8 * D));
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
          // Channels beyond the last meet zeros of the queries (an infinite one makes a NaN of the
          // score), or are stored by nobody.
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
  KOKKOS_FUNCTION void fetch_keys(std::int64_t key) {
    fetch_rows(key_, keys_, key, [](int r) { return r * row_step; });
  }
  KOKKOS_FUNCTION void fetch_values(std::int64_t key) {
    fetch_rows(value_, values_, key, [](int r) { return r / 4 * (4 * quad_step) + r % 4; });
  }
  KOKKOS_FUNCTION void put_keys() const {
    const int row = lane_.thread() / key_pieces, piece = lane_.thread() % key_pieces;
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

  Lane lane_;
  panel_type panel_;
  int value_size_, key_operand_, value_operand_;
  source keys_, values_;
  words4 query_[D / chunk], key_[rows];
  value_words value_[4 * quads];
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
