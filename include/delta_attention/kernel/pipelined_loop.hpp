#pragma once

#include <delta_attention/kernel/main_loop.hpp>

#include <cstdint>
#include <type_traits>

namespace delta_attention::kernel {

// The second main loop, for families whose matrix products run on their own while a team's warps do
// other things (Hopper): some warps walk over items and tiles and have them copied, the others
// compute. Masks, softmax, schedule and epilogues are those of kernel/main_loop.hpp.

/// What the copying warps tell the others of an item,
template <int Panels> struct pipelined_item : tile_work<Panels> {
  bool ends;  // there is none
};
/// of a tile's keys (one without any, where no row of an item sees a key), with its properties as
/// bits of one word. (Of a tile that is not whole they are told besides which values some row sees:
/// Tile::key_bits.)
struct pipelined_keys {
  mask::key_range keys;
  std::uint32_t is;

  static constexpr std::uint32_t known = 1;  // set in all, so that 0 can mean: not here yet
  static constexpr std::uint32_t first = 2, last = 4;  // of their item
  /// As many keys as there is room for, which all rows see.
  static constexpr std::uint32_t whole = 8;
  /// The same, for the rows of a panel.
  static KOKKOS_FUNCTION std::uint32_t whole_for(int panel) { return 16u << panel; }
  template <int Panels> static constexpr std::uint32_t whole_for_all = 16u * ((1u << Panels) - 1);
};

/// What a launch has besides a problem: what the copy engine needs, with memory for a copy of it
/// for each team where the launch's own has no address (else a null pointer's type), and which item
/// is the next that no team has yet, if teams take them from there.
template <class Maps, class Places> struct pipelined_launch {
  Maps maps;
  Places places;
  std::int64_t* next_item;
};

/// The warp that takes a team's items, walks over their tiles, tells the others of them and has
/// keys copied; prepare() before the first copy.
template <class Tile, class Loader, class Mask, class Epilogue, class Prepare>
KOKKOS_FORCEINLINE_FUNCTION void load_keys(Loader& atom, const Mask& mask, const schedule& plan,
                                           const Epilogue& epilogue, int team, int teams,
                                           std::int64_t* next_item, const Prepare& prepare) {
  constexpr int panels = Tile::groups, panel_rows = Tile::panel_rows;
  using item_type = pipelined_item<panels>;
  std::int64_t mine = team, round = 0;
  const auto take_next = [&]() -> std::int64_t {
    // Where all keys are in the cache and time is short: back and forth over the teams, so that
    // long and short items come to every team alike.
    ++round;
    if (!plan.heads_in_turn) return round * teams + (round % 2 == 0 ? team : teams - 1 - team);
    return Kokkos::atomic_fetch_add(next_item, 1);
  };
  const auto describe_next = [&]() -> const item_type& {
    return atom.template describe_item<item_type>([&](item_type& w) {  // called by one lane
      do {
        const std::int64_t i = mine;
        mine = take_next();  // it is there when that item is described
        w.ends = i >= plan.items();
        if (w.ends) return;
        w.item = plan.item(i);
      } while (!epilogue.wants(w.item.rows, w.item.split));
      const tile_rows& rows = w.item.rows;
      w.all = rows.block(0, rows.count);
      for (int x = 0; x < panels; ++x) {  // one without rows computes, and stores nothing
        const int first = x * panel_rows < rows.count ? x * panel_rows : 0;
        w.panel[x] = rows.block(first, first + panel_rows);
      }
    });
  };

  const item_type* work = &describe_next();
  prepare();  // while others copy queries
  while (!work->ends) {
    const tile_rows& rows = work->item.rows;
    const item_type* next = nullptr;
    int before_next = Tile::stages;
    tile_walk<Tile::tile_keys, Mask> tiles(mask, work->all, work->item.keys);
    key_tile tile = tiles.next();
    std::uint32_t is_first = pipelined_keys::first;
    do {
      const key_tile following = tiles.next();
      pipelined_keys info{tile.keys, pipelined_keys::known | is_first};
      is_first = 0;
      if (following.keys.size() == 0) info.is |= pipelined_keys::last;
      if (tile.seen && tile.keys.size() == Tile::tile_keys)
        info.is |= pipelined_keys::whole | pipelined_keys::whole_for_all<panels>;
      else if (tile.keys.size() == Tile::tile_keys)
        for (int x = 0; x < panels; ++x)
          if (x * panel_rows >= rows.count ||
              mask.classify(work->panel[x], tile.keys) == mask::coverage::full)
            info.is |= pipelined_keys::whole_for(x);
      atom.copy_keys(rows, info);
      tile = following;
      // The next item's queries shall be there when this one ends; it can only be described once
      // the others have begun this one, for which the first tiles must be under way.
      if (--before_next == 0) next = &describe_next();
    } while (tile.keys.size() > 0);
    work = before_next > 0 ? &describe_next() : next;
  }
}

/// The warp that has values copied.
template <class Tile, class Loader, class Mask>
KOKKOS_FORCEINLINE_FUNCTION void load_values(Loader& atom, const Mask& mask) {
  while (true) {
    const auto& work = atom.template take_item<pipelined_item<Tile::groups>>();
    if (work.ends) break;
    const visibility<Mask> visible{mask, work.item.rows, work.all};
    tile_walk<Tile::tile_keys, Mask> tiles(mask, work.all, work.item.keys);
    key_tile tile = tiles.next();
    do {
      const int count = int(tile.keys.size());
      typename Tile::key_bits wanted{};
      if (!tile.seen || count < Tile::tile_keys)
        wanted = atom.wanted_keys(count, [&](int key) {
          return tile.seen || visible.some_row_sees(tile.keys.begin + key);
        });
      atom.copy_values(work.item.rows, tile.keys, wanted);
      tile = tiles.next();
    } while (tile.keys.size() > 0);
  }
}

/// The warps that copy queries.
template <class Tile, class Loader> KOKKOS_FORCEINLINE_FUNCTION void load_queries(Loader& atom) {
  while (true) {
    const auto& work = atom.template await_item<pipelined_item<Tile::groups>>();
    if (!work.ends) atom.copy(work.item.rows);
    atom.announce();
    if (work.ends) break;
  }
}

/// A computing group: the products of a tile's scores and of the last tile's weighted sum run
/// together, behind the softmax of the others. What few tiles need stands behind as few branches as
/// possible, and an item's first tile, beside which nothing is summed, goes the way of all others:
/// it is the size of the loop that lets the compiler keep its registers (docs/performance.md).
template <class Tile, class Consumer, class Element, class Mask, class Epilogue>
KOKKOS_FORCEINLINE_FUNCTION void consume(Consumer& atom, const problem<Element>& p,
                                         const Mask& mask, const Epilogue& epilogue) {
  using item_type = pipelined_item<Tile::groups>;
  const std::uint32_t whole_for_mine = pipelined_keys::whole_for(atom.panel());
  std::uint32_t tile_is = 0,  // of a tile's description; the rest is read where few tiles need it
      next_is = 0;            // of the next one's, if its keys have come
  // Can the weighted sum go on?
  const auto values_are_ready = [&] {
    return atom.values_came() & ((tile_is & pipelined_keys::whole) != 0) & !atom.must_rescale();
  };
  const auto prepare_values = [&] {
    atom.await_values();
    // Weight 0 times a NaN is a NaN: values that no row sees become zeros.
    if (!(tile_is & pipelined_keys::whole))
      atom.clear_values(atom.template values_info<typename Tile::key_bits>());
    if (atom.must_rescale()) atom.rescale();
  };
  const auto await_keys = [&] {
    atom.await_keys();
    next_is = atom.template keys_info<pipelined_keys>().is;
  };

  while (true) {
    const item_type& work = atom.template await_item<item_type>();
    if (work.ends) break;
    atom.take_item();
    atom.clear_statistics();
    if (next_is == 0) await_keys();
    atom.aim();
    atom.start_scores();
    atom.skip_weighted_sum();
    while (true) {
      tile_is = next_is;
      atom.finish_scores();
      const bool fits = atom.fits();
      if (!(fits & ((tile_is & whole_for_mine) != 0) & (p.softcap == 0))) {
        if (p.softcap > 0) atom.softcap(p.softcap);
        if (!(tile_is & whole_for_mine))
          atom.hide(work.item.rows, work.panel[atom.panel()],
                    atom.template keys_info<pipelined_keys>().keys, mask);
        if (!fits || p.softcap > 0) atom.raise();  // what was hidden leaves less, which fits too
      }
      atom.free_keys();
      next_is = atom.template look_for_keys<pipelined_keys>();
      atom.aim();  // beside the exponentials, since it takes long
      atom.exponentials();
      // The sum before follows the products, and ends before its weights' registers take others.
      atom.finish_weighted_sum();
      atom.free_values();
      atom.look_for_values();
      atom.pack_weights();
      if (tile_is & pipelined_keys::last) break;
      if (!((next_is != 0) & values_are_ready())) {
        if (next_is == 0) await_keys();
        prepare_values();
      }
      atom.take_turn();
      atom.start_scores();
      // (After the first tile there was nothing to rescale, and there is nothing to add to.)
      atom.start_weighted_sum((tile_is & pipelined_keys::first) == 0);
      atom.pass_turn();
    }
    if (!values_are_ready()) prepare_values();
    atom.start_weighted_sum((tile_is & pipelined_keys::first) == 0);
    const auto ends = atom.begin_store(work.item.rows, work.item.split, epilogue);  // meanwhile
    atom.finish_weighted_sum();
    atom.store(ends);
  }
}

/// All items of a team.
template <class Atom, class Member, class Maps, class Places, class Element, class Mask,
          class Epilogue>
KOKKOS_FORCEINLINE_FUNCTION void attend_pipelined(const Member& team,
                                                  const pipelined_launch<Maps, Places>& data,
                                                  const problem<Element>& p, const Mask& mask,
                                                  const schedule& plan, const Epilogue& epilogue) {
  const typename Atom::lane_type lane(team, Atom::shared_bytes);
  Atom::make_barriers(lane);
  if (lane.group() > 0) {
    lane.template take_registers<Atom::computing_registers>();
    typename Atom::consumer atom(lane, p);
    consume<Atom>(atom, p, mask, epilogue);
  } else {
    lane.template give_registers<Atom::copying_registers>();
    constexpr bool has_places = !std::is_null_pointer_v<Places>;
    const auto* maps = &data.maps;
    if constexpr (has_places) maps = data.places + team.league_rank();
    if (lane.warp() == 0) {
      typename Atom::loader atom(lane, *maps, 0);
      load_keys<Atom>(atom, mask, plan, epilogue, team.league_rank(), team.league_size(),
                      data.next_item, [&] {
                        if constexpr (has_places)
                          atom.publish(data.maps.keys, data.places[team.league_rank()].keys);
                      });
    } else if (lane.warp() == 1) {
      typename Atom::loader atom(lane, *maps, 1);
      if constexpr (has_places)
        atom.publish(data.maps.values, data.places[team.league_rank()].values);
      load_values<Atom>(atom, mask);
    } else {
      typename Atom::query_loader atom(lane, p);
      load_queries<Atom>(atom);
    }
  }
  lane.leave();
}

}  // namespace delta_attention::kernel
