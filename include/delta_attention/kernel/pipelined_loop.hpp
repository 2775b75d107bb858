#pragma once

#include <delta_attention/kernel/epilogue.hpp>
#include <delta_attention/kernel/main_loop.hpp>

#include <cstdint>
#include <type_traits>

namespace delta_attention::kernel {

// The second main loop, for families whose matrix products run on their own while a team's warps do
// other things (Hopper): some warps walk over items and tiles and have them copied, the others
// compute. Masks, softmax, schedule and epilogues are those of kernel/main_loop.hpp.

/// What the copying warps tell the others of an item,
enum class item_kind {
  fresh,
  again,  // the item before the last, of which a row overflowed
  pause,  // none, so that the last one's sums are known before the end
  end
};
template <int Panels> struct pipelined_item : tile_work<Panels> {
  item_kind kind;

  KOKKOS_FUNCTION bool has_rows() const {
    return kind == item_kind::fresh || kind == item_kind::again;
  }
};
/// of a tile's keys (one without any, where no row of an item sees a key), with its properties as
/// bits of one word.
struct pipelined_keys {
  mask::key_range keys;
  std::uint32_t is;

  static constexpr std::uint32_t known = 1;  // set in all, so that 0 can mean: not here yet
  static constexpr std::uint32_t first = 2, last = 4;  // of their item
  /// As many keys as there is room for, which all rows of a panel see.
  static KOKKOS_FUNCTION std::uint32_t whole_for(int panel) { return 8u << panel; }
  template <int Panels> static constexpr std::uint32_t whole_for_all = 8u * ((1u << Panels) - 1);
};

/// What a launch has besides a problem: what the copy engine needs, with memory for a copy of it
/// for each team where the launch's own has no address (else a null pointer's type), and which item
/// is the next that no team has yet, if teams take them from there.
template <class Maps, class Copies> struct pipelined_launch {
  Maps maps;
  Copies copies;
  std::int64_t* next_item;
};

/// The warps that take a team's items and tell the others of them, of where their rows go, and copy
/// their queries: long before an item begins, while the one before is computed.
template <class Tile, class Loader, class Epilogue>
KOKKOS_FORCEINLINE_FUNCTION void load_items(Loader& atom, const schedule& plan,
                                            const Epilogue& epilogue, int team, int teams,
                                            std::int64_t* next_item) {
  using item_type = pipelined_item<Tile::groups>;
  std::int64_t mine = team, round = 0;
  const auto take_next = [&]() -> std::int64_t {
    // Where all keys are in the cache and time is short: back and forth over the teams, so that
    // long and short items come to every team alike.
    ++round;
    if (!plan.heads_in_turn) return round * teams + (round % 2 == 0 ? team : teams - 1 - team);
    return Kokkos::atomic_fetch_add(next_item, 1);
  };
  bool open = false;  // may the last item have to come again?
  // Called by one lane; `w` is the item before the last until it is written.
  const auto describe = [&](item_type& w, bool asked) {
    if (asked && w.kind == item_kind::fresh) {
      w.kind = item_kind::again;
      open = false;
      return true;
    }
    do {
      const std::int64_t i = mine;
      mine = take_next();  // it is there when that item is described
      if (i >= plan.items()) {
        w.kind = open ? item_kind::pause : item_kind::end;
        open = false;
        return false;
      }
      w.item = plan.item(i);
    } while (!epilogue.wants(w.item.rows, w.item.split));
    w.kind = item_kind::fresh;
    open = Tile::keeps_maxima;
    const tile_rows& rows = w.item.rows;
    w.all = rows.block(0, rows.count);
    for (int x = 0; x < Tile::groups; ++x) {  // one without rows computes, and stores nothing
      const int first = x * Tile::panel_rows < rows.count ? x * Tile::panel_rows : 0;
      w.panel[x] = rows.block(first, first + Tile::panel_rows);
    }
    return false;
  };
  while (true) {
    const item_type& work = atom.template describe_item<item_type>(describe);
    if (work.has_rows()) {
      atom.copy(work.item.rows);
      atom.tell_places(work.item.rows, work.item.split, epilogue);
    }
    atom.announce();
    if (work.kind == item_kind::end) break;
  }
}

/// The warp that walks over the tiles of items, tells the others of them and has keys copied.
template <class Tile, class Loader, class Mask>
KOKKOS_FORCEINLINE_FUNCTION void load_keys(Loader& atom, const Mask& mask) {
  constexpr int panels = Tile::groups, panel_rows = Tile::panel_rows;
  while (true) {
    const auto& work = atom.template take_item<pipelined_item<panels>>();
    if (work.kind == item_kind::end) break;
    if (work.kind == item_kind::pause) continue;
    const tile_rows& rows = work.item.rows;
    tile_walk<Tile::tile_keys, Mask> tiles(mask, work.all, work.item.keys);
    key_tile tile = tiles.next();
    std::uint32_t is_first = pipelined_keys::first;
    do {
      const key_tile following = tiles.next();
      pipelined_keys info{tile.keys, pipelined_keys::known | is_first};
      is_first = 0;
      if (following.keys.size() == 0) info.is |= pipelined_keys::last;
      if (tile.seen && tile.keys.size() == Tile::tile_keys)
        info.is |= pipelined_keys::whole_for_all<panels>;
      else if (tile.keys.size() == Tile::tile_keys)
        for (int x = 0; x < panels; ++x)
          if (x * panel_rows >= rows.count ||
              mask.classify(work.panel[x], tile.keys) == mask::coverage::full)
            info.is |= pipelined_keys::whole_for(x);
      atom.copy_keys(rows, info);
      tile = following;
    } while (tile.keys.size() > 0);
  }
}

/// The warp that has values copied.
template <class Tile, class Loader, class Mask>
KOKKOS_FORCEINLINE_FUNCTION void load_values(Loader& atom, const Mask& mask) {
  while (true) {
    const auto& work = atom.template take_item<pipelined_item<Tile::groups>>();
    if (work.kind == item_kind::end) break;
    if (work.kind == item_kind::pause) continue;
    const visibility<Mask> visible{mask, work.item.rows, work.all};
    tile_walk<Tile::tile_keys, Mask> tiles(mask, work.all, work.item.keys);
    key_tile tile = tiles.next();
    do {
      // Weight 0 times a NaN is a NaN: values that no row sees become zeros.
      if (tile.seen && tile.keys.size() == Tile::tile_keys)
        atom.copy_values(work.item.rows, tile.keys);
      else
        atom.copy_some_values(work.item.rows, tile.keys, [&](int key) {
          return tile.seen || visible.some_row_sees(tile.keys.begin + key);
        });
      tile = tiles.next();
    } while (tile.keys.size() > 0);
  }
}

/// A computing group: the products of a tile's scores and of the last tile's weighted sum run
/// together, behind the softmax of the others. Where maxima are kept, a warp whose rows have
/// references does not look at scores before it takes exponentials, which is a large part of its
/// way from one product to the next. Rows that overflow then are stored all the same, and their
/// item comes again.
/// What few tiles need stands behind as few branches as possible, and an item's first tile, beside
/// which nothing is summed, goes the way of all others: it is the size of the loop that lets the
/// compiler keep its registers (docs/performance.md).
template <class Tile, class Place, class Consumer, class Element, class Mask>
KOKKOS_FORCEINLINE_FUNCTION void consume(Consumer& atom, const problem<Element>& p,
                                         const Mask& mask) {
  using item_type = pipelined_item<Tile::groups>;
  const std::uint32_t whole_for_mine = pipelined_keys::whole_for(atom.panel());
  std::uint32_t tile_is = 0,  // of a tile's description; the rest is read where few tiles need it
      next_is = 0;            // of the next one's, if its keys have come
  const auto await_keys = [&] {
    atom.await_keys();
    next_is = atom.template keys_info<pipelined_keys>().is;
  };

  while (true) {
    const item_type& work = atom.template await_item<item_type>();
    const item_kind kind{atom.uniform(int(work.kind))};
    if (kind == item_kind::end) break;
    atom.take_item();
    if (kind == item_kind::pause) continue;
    atom.clear_statistics();
    if (next_is == 0) await_keys();
    atom.aim();
    atom.start_scores();
    atom.skip_weighted_sum();
    while (true) {
      tile_is = next_is;
      atom.finish_scores();
      if (((tile_is & whole_for_mine) == 0) | atom.looks() | (p.softcap > 0)) {
        // (What is hidden leaves less, which fits too.)
        const bool sums_follow = !Tile::keeps_maxima || kind == item_kind::again;
        bool rises = atom.looks() && (p.softcap > 0 || !atom.fits());
        if (sums_follow) rises = atom.any_of_group(rises);
        if (p.softcap > 0) atom.softcap(p.softcap);
        if (!(tile_is & whole_for_mine))
          atom.hide(work.item.rows, work.panel[atom.panel()],
                    atom.template keys_info<pipelined_keys>().keys, mask);
        if (rises) {
          if (sums_follow)
            atom.raise_with_sums();
          else
            atom.raise();
        }
      }
      atom.free_keys();
      next_is = atom.template look_for_keys<pipelined_keys>();
      atom.aim();  // beside the exponentials, since it takes long
      atom.template exponentials<0>();
      // The sum before follows the products, and ends before its weights' registers take others.
      atom.finish_weighted_sum();
      atom.free_values();
      atom.look_for_values();
      atom.template pack_weights<0>();
      atom.template exponentials<1>();
      atom.template pack_weights<1>();
      if (tile_is & pipelined_keys::last) break;
      if (!((next_is != 0) & atom.values_came())) {
        if (next_is == 0) await_keys();
        atom.await_values();
      }
      atom.take_turn();
      atom.start_scores();
      // (After the first tile there is nothing to add to.)
      atom.start_weighted_sum((tile_is & pipelined_keys::first) == 0);
      atom.pass_turn();
    }
    if (!atom.values_came()) atom.await_values();
    atom.start_weighted_sum((tile_is & pipelined_keys::first) == 0);
    if (Tile::keeps_maxima && kind == item_kind::fresh) atom.ask_again();
    const auto ends = atom.template begin_store<Place>();  // meanwhile
    atom.finish_weighted_sum();
    atom.store(ends);
  }
}

/// All items of a team.
template <class Atom, class Member, class Maps, class Copies, class Element, class Mask,
          class Epilogue>
KOKKOS_FORCEINLINE_FUNCTION void attend_pipelined(const Member& team,
                                                  const pipelined_launch<Maps, Copies>& data,
                                                  const problem<Element>& p, const Mask& mask,
                                                  const schedule& plan, const Epilogue& epilogue) {
  const typename Atom::lane_type lane(team, Atom::shared_bytes);
  Atom::make_barriers(lane);
  if (lane.group() > 0) {
    lane.template take_registers<Atom::computing_registers>();
    typename Atom::consumer atom(lane, p);
    consume<Atom, place_of<Epilogue>>(atom, p, mask);
  } else {
    lane.template give_registers<Atom::copying_registers>();
    constexpr bool has_copies = !std::is_null_pointer_v<Copies>;
    const auto* maps = &data.maps;
    if constexpr (has_copies) maps = data.copies + team.league_rank();
    if (lane.warp() == 0) {
      typename Atom::loader atom(lane, *maps, 0);
      if constexpr (has_copies) atom.publish(data.maps.keys, data.copies[team.league_rank()].keys);
      load_keys<Atom>(atom, mask);
    } else if (lane.warp() == 1) {
      typename Atom::loader atom(lane, *maps, 1);
      if constexpr (has_copies)
        atom.publish(data.maps.values, data.copies[team.league_rank()].values);
      load_values<Atom>(atom, mask);
    } else {
      typename Atom::query_loader atom(lane, p);
      load_items<Atom>(atom, plan, epilogue, team.league_rank(), team.league_size(),
                       data.next_item);
    }
  }
  lane.leave();
}

}  // namespace delta_attention::kernel
