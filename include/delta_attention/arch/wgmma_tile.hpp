#pragma once

#include <delta_attention/arch/lane_values.hpp>
#include <delta_attention/arch/tensor_maps.hpp>
#include <delta_attention/kernel/softmax.hpp>

#if defined(DELTA_ATTENTION_HAS_WGMMA)

#include <algorithm>
#include <string>

namespace delta_attention::arch {

template <class Element, int D> class wgmma_loader;
template <class Element, int D> class wgmma_query_loader;
template <class Element, int D> class wgmma_consumer;

/// A tile on Hopper (sm_90a): one warpgroup has keys and values copied to shared memory, two or
/// four stages ahead, and two or three carry 64 rows each through wgmma, in turn: while one
/// multiplies, others take exponentials. Lanes hold rows, keys and channels as mma.sync's do
/// (arch/mma_sync.hpp). kernel/pipelined_loop.hpp has the order of the verbs.
template <class Element, int D> class wgmma_tile {
 public:
  using loader = wgmma_loader<Element, D>;
  using query_loader = wgmma_query_loader<Element, D>;
  using consumer = wgmma_consumer<Element, D>;
  using accumulator = float;
  using lane_type = hopper_lane;
  // The exponentials of a tile take as long whatever d is: beside the short products of d 64 there
  // is time for those of a third group. Its small tiles leave room for four stages, of which the
  // window has 4 % (docs/performance.md); at d 128 a third of values made dense attention slower.
  static constexpr int groups = D == 64 ? 3 : 2, panel_rows = 64, tile_rows = groups * panel_rows,
                       tile_keys = 128, stages = D == 64 ? 4 : 2;
  // Left to itself the assembler puts all multiplications before most exponentials.
  static constexpr int exponentials_at_once = 32;  // keys
  static constexpr bool keeps_maxima = kernel::keeps_maxima<Element>;
  static constexpr int tile_warps = 2;  // the first: of keys, of values; then those of items
  static constexpr int group_threads = hopper_lane::group_threads,
                       team_size = (groups + 1) * group_threads, vector_length = 1,
                       query_threads = group_threads - tile_warps * hopper_lane::lanes;
  static constexpr int scratch_level = 0, scratch_alignment = hopper_lane::alignment;
  static constexpr bool shares_cache = true;
  static constexpr int overflow_words = 2 * 4 * groups;  // of an item
  static_assert(overflow_words <= hopper_lane::lanes);
  static constexpr int work_bytes = 256, info_bytes = 64, place_bytes = 32;
  using launch_bounds = Kokkos::LaunchBounds<team_size, 1>;
  static std::string description() { return "wgmma (tensor cores of sm_90a)"; }
  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return multiprocessors(exec);
  }
  /// Teams stay for all their items: one on each multiprocessor.
  template <class Exec> static int league_size(const Exec& exec, std::int64_t items) {
    return int(std::min(items, wanted_items(exec)));
  }
  // Per thread; setmaxnreg moves them from the copying group to the others.
  static constexpr int copying_registers = groups == 2 ? 72 : 32,
                       computing_registers = groups == 2 ? 216 : 160;

 protected:
  // Shared memory. Matrices are halves of 64 channels, each rows of 128 bytes; there are two of
  // queries, an item's and the next one's.
  static constexpr int half_bytes = 128 * tile_keys, halves = D / 64,
                       matrix_bytes = halves * half_bytes, queries_bytes = 2 * D * tile_rows;
  static_assert(D == 64 || (D == 128 && tile_rows == tile_keys));
  static constexpr int queries = 0, keys = 2 * queries_bytes, values = keys + stages * matrix_bytes,
                       key_infos = values + stages * matrix_bytes,
                       works = key_infos + stages * info_bytes, places = works + 2 * work_bytes,
                       overflows = places + 2 * tile_rows * place_bytes,
                       barriers = overflows + 2 * overflow_words * int(sizeof(std::uint32_t));
  using key_bits = arch::key_bits<tile_keys>;
  enum barrier {
    item_told,
    item_taken,
    queries_full,
    keys_full,
    keys_empty = keys_full + stages,
    values_full = keys_empty + stages,
    values_empty = values_full + stages,
    some_values = values_empty + stages,
    barrier_count
  };

 public:
  static constexpr int shared_bytes = barriers + 8 * barrier_count;
  static constexpr std::size_t scratch_bytes(int, int) { return shared_bytes; }

 protected:
  __device__ explicit wgmma_tile(const hopper_lane& lane) : lane_(lane) {}

  __device__ int at(int place) const { return lane_.origin() + place; }
  __device__ int at(barrier first, int stage) const { return at(barriers + 8 * (first + stage)); }
  /// Piece c (16 bytes) of row r of a matrix.
  __device__ int place(int matrix, int r, int c) const {
    return at(matrix) + (c >> 3) * half_bytes + r * 128 + (((c ^ r) & 7) << 4);
  }

  /// The next item, once it is described.
  template <class Work> __device__ const Work& await_told() {
    item_parity_ ^= 1;
    lane_.await(at(item_told, 0), item_parity_);
    return work<Work>(item_parity_);
  }

  // Which of the stages comes next, and the parity of its barriers: one number, so that the
  // compiler has it in a register for all lanes. A tile's keys and the values of the tile before
  // take the same turn; at turn 0 there are no values.
  struct turn {
    unsigned count = 0;
    static_assert((stages & (stages - 1)) == 0);
    __device__ int stage() const { return int(count % stages); }
    __device__ int parity() const { return int(count / stages % 2); }
    __device__ void next() { ++count; }
    __device__ turn last() const { return {count - 1}; }
  };

  template <class T> __device__ T& kept(int place) const {
    return *static_cast<T*>(__cvta_shared_to_generic(at(place)));
  }
  /// An item's description: there is room for two, and the parity of its barriers.
  template <class Work> __device__ Work& work(int parity) const {
    static_assert(sizeof(Work) <= work_bytes);
    return kept<Work>(works + parity * work_bytes);
  }
  /// Word i of an item: of the two rows of the lanes of each warp that computes, which overflowed.
  __device__ std::uint32_t& overflow_word(int parity, int i) const {
    return kept<std::uint32_t>(overflows + 4 * (parity * overflow_words + i));
  }
  __device__ std::uint32_t (&overflow(int parity, int warp) const)[2] {
    return kept<std::uint32_t[2]>(overflows + 4 * (parity * overflow_words + 2 * warp));
  }
  /// Where row r of an item goes: there is room for those of two items, too.
  template <class Place> __device__ Place& row_place(int r) const {
    static_assert(sizeof(Place) <= place_bytes);
    return kept<Place>(places + (item_parity_ * tile_rows + r) * place_bytes);
  }

  hopper_lane lane_;
  int item_parity_ = 1;  // of the last item

 public:
  /// Once a team, before anybody waits.
  static __device__ void make_barriers(const hopper_lane& lane) {
    const wgmma_tile tile(lane);
    if (lane.thread() == 0) {
      const auto make = [&](barrier first, int count, int arrivals) {
        for (int s = 0; s < count; ++s) lane.make_barrier(tile.at(first, s), arrivals);
      };
      make(item_told, 1, 1);
      make(item_taken, 1, (groups * 4 + tile_warps) * hopper_lane::arrivals_of_warp);
      make(queries_full, 1, query_threads);
      make(keys_full, stages, 1);
      make(keys_empty, stages, groups * 4 * hopper_lane::arrivals_of_warp);
      make(values_full, stages, 1);
      make(some_values, 1, 1);
      make(values_empty, stages, groups * 4 * hopper_lane::arrivals_of_warp);
      // At turn 0 there are no values. Nobody else waits for them, and compute-sanitizer's
      // synccheck wants each phase awaited.
      lane.arrive(tile.at(values_full, 0));
      lane.await(tile.at(values_full, 0), 0);
      for (int i = 0; i < overflow_words; ++i)
        tile.overflow_word(0, i) = tile.overflow_word(1, i) = 0;
      lane.publish();
    }
    lane.barrier();
  }
};

}  // namespace delta_attention::arch
#endif
