#pragma once

#include <delta_attention/kernel/schedule.hpp>
#include <delta_attention/mask/algebra.hpp>

namespace delta_attention::kernel {

/// What a lane works on, and what its rows are for the mask: all rows of the tile, and each of the
/// lane's `Panels` panels. The same for all lanes of a wave, and too much for their registers.
template <int Panels> struct tile_work {
  work_item item;
  mask::row_block all, panel[Panels];
};

/// What an atom may ask of the mask about all rows of its tile together.
template <class Mask> struct visibility {
  const Mask& mask;
  const tile_rows& rows;
  const mask::row_block& all;

  /// Of a key of a tile: exact, also where classify may say `partial` of a key that nobody sees.
  KOKKOS_INLINE_FUNCTION bool some_row_sees(std::int64_t key) const {
    // Rows apart are delta's anchors, whose dense results take in every key up to the last one's.
    if (rows.set.step > 1 || mask.next_is_tight()) return true;
    const mask::coverage coverage = mask.classify(all, {key, key + 1});
    if (coverage != mask::coverage::partial) return coverage == mask::coverage::full;
    // Under most masks an end of the tile sees what anyone sees.
    if (sees(rows.count - 1, key)) return true;
    for (int r = 0; r < rows.count - 1; ++r)
      if (sees(r, key)) return true;
    return false;
  }

 private:
  KOKKOS_INLINE_FUNCTION bool sees(int r, std::int64_t key) const {
    return mask.allows(rows.batch, rows.head(r), rows.position(r), key);
  }
};

/// The tiles of keys that a block of rows visits, one after the other, without those that no row
/// sees; an empty one where nothing is left.
template <int TileKeys, class Mask> class tile_walk {
 public:
  KOKKOS_INLINE_FUNCTION tile_walk(const Mask& m, const mask::row_block& rows,
                                   mask::key_range among)
      : mask_(m), rows_(rows), at_(among.begin), end_(among.end), run_end_(among.begin) {}

  KOKKOS_INLINE_FUNCTION key_tile next() {
    while (seen_tiles_ == 0) {
      if (at_ >= run_end_) {
        const mask::key_range run = mask_.next(rows_, at_);
        if (run.begin >= end_) return {{end_, end_}, true};
        at_ = run.begin;
        run_end_ = run.end < end_ ? run.end : end_;
        together_ = 1;
      }
      // Most tiles lie within many that all rows see, or none: ask for one, then for more at a time
      // until they differ. So it is soon known what comes next where that changes.
      const std::int64_t tile_end = until(1);
      std::int64_t end = until(together_);
      mask::coverage coverage = mask_.classify(rows_, {at_, end});
      if (coverage == mask::coverage::partial && end > tile_end) {
        together_ = 1;
        end = tile_end;
        coverage = mask_.classify(rows_, {at_, end});
      }
      if (together_ < 8) together_ *= 2;
      if (coverage == mask::coverage::empty) {
        at_ = end;
        continue;
      }
      if (coverage == mask::coverage::full) seen_tiles_ = int((end - at_) / TileKeys);
      if (seen_tiles_ == 0) {  // a tile that some rows do not see, or a short one
        const mask::key_range keys{at_, tile_end};
        at_ = tile_end;
        return {keys, coverage == mask::coverage::full};
      }
    }
    --seen_tiles_;
    at_ += TileKeys;
    return {{at_ - TileKeys, at_}, true};
  }

 private:
  KOKKOS_INLINE_FUNCTION std::int64_t until(int tiles) const {
    const std::int64_t end = at_ + std::int64_t(tiles) * TileKeys;
    return end < run_end_ ? end : run_end_;
  }

  const Mask& mask_;
  const mask::row_block& rows_;
  std::int64_t at_, end_;
  std::int64_t run_end_;  // to where the mask's interval reaches
  int together_ = 1;      // tiles to ask for
  int seen_tiles_ = 0;    // whole ones that come next and that all rows see
};

/// Does an atom take the keys of a tile in steps, and how many does it take at once?
template <class Atom> inline constexpr bool has_steps = requires { Atom::step_keys; };
template <class Atom>
inline constexpr int keys_at_once = [] {
  if constexpr (has_steps<Atom>)
    return Atom::step_keys;
  else
    return Atom::tile_keys;
}();

/// Has an atom to compute its rows once more?
template <class Atom> KOKKOS_INLINE_FUNCTION bool again(Atom& atom) {
  if constexpr (requires { atom.comes_again(); })
    return atom.comes_again();
  else
    return false;
}

/// How many panels a lane has, where all have rows.
template <class Atom>
inline constexpr int panels_of = Atom::tile_rows / Atom::panel_rows / Atom::panel_step;

/// All keys of one work item: loads the queries of its rows, leaves their sums in the atom. The
/// lane has panels from `first_panel` on, of which `with_rows` have rows. (Not a part of `attend`,
/// so that a host compiles it once for all epilogues.)
template <class Atom, class Element, class Mask>
KOKKOS_INLINE_FUNCTION void attend_to_keys(Atom& atom, const problem<Element>& p, const Mask& mask,
                                           const tile_work<panels_of<Atom>>& work, int first_panel,
                                           int with_rows) {
  using mask::key_range;
  const tile_rows& rows = work.item.rows;
  const visibility<Mask> visible{mask, rows, work.all};
  do {
    tile_walk<Atom::tile_keys, Mask> tiles(mask, work.all, work.item.keys);

    key_tile tile = tiles.next();
    atom.load_queries(p, rows, tile, visible);
    while (tile.keys.size() > 0) {
      const key_tile following = tiles.next();
      atom.stage(p, rows, tile, following, visible);

      const bool whole = tile.seen && tile.keys.size() == Atom::tile_keys;
      const auto attend_to = [&](int i, const key_range& keys) {
        bool hides = false;
        if (!whole) {
          // An atom that takes a number of keys at once takes what lies beyond the last one, too.
          if constexpr (!Atom::skips_keys) hides = keys.size() < keys_at_once<Atom>;
          if (!tile.seen) {
            const mask::coverage coverage = mask.classify(work.panel[i], keys);
            if (coverage == mask::coverage::empty) return;
            if (coverage == mask::coverage::partial) hides = true;
          }
        }
        const int panel = first_panel + i * Atom::panel_step;
        atom.scores(panel, keys);
        if (hides || p.softcap > 0) {  // one branch for most tiles
          if (p.softcap > 0) atom.softcap(panel, keys, p.softcap);
          if (hides) atom.hide(panel, rows, keys, mask);
        }
        atom.weigh(panel, keys);
        atom.weighted_sum(panel, keys);
      };
      for (int i = 0; i < with_rows; ++i) {
        if constexpr (Atom::skips_keys) {
          for (key_range keys = tile.keys; keys.size() > 0; keys = {keys.end, tile.keys.end}) {
            if (!tile.seen) {
              const key_range seen = mask.next(work.panel[i], keys.begin);
              if (seen.begin >= tile.keys.end) break;
              keys = {seen.begin, seen.end < tile.keys.end ? seen.end : tile.keys.end};
            }
            attend_to(i, keys);
          }
        } else if constexpr (!has_steps<Atom>) {
          attend_to(i, tile.keys);
        } else {
          constexpr int step = Atom::step_keys;
          const int count = int(tile.keys.size());
          for (int first = 0; first < count; first += step)
            attend_to(i, {tile.keys.begin + first,
                          tile.keys.begin + (first + step < count ? first + step : count)});
        }
      }
      tile = following;
    }
  } while (again(atom));
}

/// Attention of one work item, for any instruction family (docs/architecture.md has the atom's
/// members).
template <class Atom, class Element, class Mask, class Epilogue>
KOKKOS_INLINE_FUNCTION void attend(Atom& atom, const problem<Element>& p, const Mask& mask,
                                   const work_item& item, const Epilogue& epilogue) {
  const int first_panel = atom.first_panel();
  tile_work<panels_of<Atom>> mine{item, item.rows.block(0, item.rows.count), {}};
  int with_rows = 0;
  for (; with_rows < panels_of<Atom>; ++with_rows) {
    const int row = (first_panel + with_rows * Atom::panel_step) * Atom::panel_rows;
    if (row >= item.rows.count) break;
    mine.panel[with_rows] = item.rows.block(row, row + Atom::panel_rows);
  }
  const auto& work = atom.keep(mine);
  attend_to_keys(atom, p, mask, work, first_panel, with_rows);
  atom.store(work.item.rows, work.item.split, epilogue);
}

}  // namespace delta_attention::kernel
