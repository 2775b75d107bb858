// A GPU's atom as an atom of the host: one thread of the host carries out a whole work item in an
// emulated block. So everything that the library does with an atom (passes, splits, corrections)
// runs as it is, and so do the tests that take a family.
#pragma once

#include <delta_attention/kernel/launch.hpp>
#include <memory>
#include <mutex>
#include <type_traits>

#include "team.hpp"

namespace emulation {

/// What the emulated blocks of a process share.
struct gpu {
  std::uint64_t seed = 1;
  bool count_banks = false;
  bank_count loads, stores;
  std::string failure;  // of the first block that failed: a kernel on a GPU cannot throw
  std::mutex mutex;

  void start(std::uint64_t with_seed) {
    seed = with_seed;
    failure.clear();
    loads = stores = {};
  }
};
inline gpu& the_gpu() {
  static gpu one;
  return one;
}

template <class Atom> struct emulated {
  static constexpr int tile_rows = Atom::tile_rows, tile_keys = Atom::tile_keys, team_size = 1,
                       vector_length = 1, scratch_level = 1, scratch_alignment = 1;
  static constexpr bool several_kv_heads = Atom::several_kv_heads,
                        shares_cache = Atom::shares_cache;
  static constexpr int few_rows = Atom::few_rows;
  using launch_bounds = Kokkos::LaunchBounds<>;
  template <class Exec> static std::int64_t wanted_items(const Exec& exec) {
    return Atom::wanted_items(exec);
  }
  static constexpr std::size_t scratch_bytes(int, int) { return 0; }

  template <class Member, class Problem>
  emulated(const Member&, const Problem& p) : d(p.head_size()), dv(p.value_size()) {}
  int d, dv;

  /// This host thread's block.
  block& fresh_block(std::uint64_t seed) const {
    constexpr int lanes = Atom::lane_type::lanes;
    const std::size_t bytes = Atom::scratch_bytes(d, dv);
    thread_local std::unique_ptr<block> mine;
    if (!mine || mine->shared_bytes() != bytes)
      mine = std::make_unique<block>(Atom::team_size * Atom::vector_length / lanes, lanes, bytes);
    mine->seed(seed);
    mine->global().clear();
    mine->loads = mine->stores = {};
    return *mine;
  }
};

/// Only elements of a tensor may be read, not what lies between its rows.
template <class T> void allow(global_memory& memory, const delta_attention::tensor<T>& x) {
  if (x.empty()) return;
  const std::size_t bytes = static_cast<std::size_t>(x.channels) * sizeof(T);
  for (std::int64_t b = 0; b < x.batches; ++b)
    for (std::int64_t t = 0; t < x.tokens; ++t)
      for (std::int64_t h = 0; h < x.heads; ++h) memory.allow(x.row(b, t, h), bytes);
}

/// kernel::attend on the lanes of a block; found by the atom's namespace, and nearer than the
/// library's. Some blocks get their item twice: what an item leaves behind must not hurt the next.
template <class Atom, class Element, class Mask, class Epilogue>
void attend(emulated<Atom>& atom, const delta_attention::kernel::problem<Element>& p,
            const Mask& mask, const delta_attention::kernel::work_item& work,
            const Epilogue& epilogue) {
  gpu& all = the_gpu();
  std::seed_seq mix{all.seed, static_cast<std::uint64_t>(work.rows.first_ordinal),
                    static_cast<std::uint64_t>(work.rows.first_head),
                    static_cast<std::uint64_t>(work.rows.batch),
                    static_cast<std::uint64_t>(work.split)};
  std::mt19937_64 random(mix);
  block& where = atom.fresh_block(random());
  where.origin = 1024 * static_cast<int>(1 + random() % 8);
  where.count_banks = all.count_banks;
  allow(where.global(), p.q);
  allow(where.global(), p.k);
  allow(where.global(), p.v);
  if constexpr (requires { epilogue.corrections; }) allow(where.global(), epilogue.corrections);
  const int times = random() % 8 == 0 ? 2 : 1;
  std::string wrong;
  try {
    run(where, 1, [&](const team& t) {
      Atom lanes_atom(t, p);
      for (int i = 0; i < times; ++i)
        delta_attention::kernel::attend(lanes_atom, p, mask, work, epilogue);
    });
  } catch (const failure& f) {
    wrong = text("batch ", work.rows.batch, " head ", work.rows.first_head, " rows from ",
                 work.rows.first_ordinal, " split ", work.split, ": ", f.what());
  }
  const std::lock_guard lock(all.mutex);
  all.loads = all.loads + where.loads;
  all.stores = all.stores + where.stores;
  if (all.failure.empty()) all.failure = wrong;
}

/// A family whose atoms are another's, emulated.
template <class Family> struct emulated_family {
  static std::string description() { return "emulated " + Family::description(); }
  static constexpr bool rounds_weights = requires { requires Family::rounds_weights; };

  template <class Exec, class Mask, class Element, class F>
  static void with_tile(const delta_attention::kernel::problem<Element>& p, const F& f) {
    Family::template with_tile<Exec, Mask>(p, in_a_block(f));
  }
  template <class Exec, class Element, class F>
  static void with_stream(const delta_attention::kernel::problem<Element>& p, const F& f) {
    Family::template with_stream<Exec>(p, in_a_block(f));
  }

 private:
  template <class F> static auto in_a_block(const F& f) {
    return [&f]<class Atom>(std::type_identity<Atom>) { f(std::type_identity<emulated<Atom>>{}); };
  }
};

}  // namespace emulation
