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
      : mask_(m),
        rows_(rows),
        at_(among.begin),
        end_(among.end),
        run_end_(among.begin),
        seen_until_(among.begin) {}

  KOKKOS_INLINE_FUNCTION key_tile next() {
    while (true) {
      if (at_ >= run_end_) {
        const mask::key_range run = mask_.next(rows_, at_);
        if (run.begin >= end_) return {{end_, end_}, true};
        at_ = run.begin;
        run_end_ = run.end < end_ ? run.end : end_;
      }
      const mask::key_range keys{at_, at_ + TileKeys < run_end_ ? at_ + TileKeys : run_end_};
      if (keys.end > seen_until_) {
        // Most tiles lie within many that all rows see, or none: ask for several at a time.
        constexpr std::int64_t several = 8 * TileKeys;
        std::int64_t until = at_ + several < run_end_ ? at_ + several : run_end_;
        mask::coverage coverage = mask_.classify(rows_, {at_, until});
        if (coverage == mask::coverage::partial) {
          until = keys.end;
          coverage = mask_.classify(rows_, keys);
        }
        if (coverage == mask::coverage::empty) {
          at_ = until;
          continue;
        }
        if (coverage == mask::coverage::full) seen_until_ = until;
      }
      at_ = keys.end;
      return {keys, keys.end <= seen_until_};
    }
  }

 private:
  const Mask& mask_;
  const mask::row_block& rows_;
  std::int64_t at_, end_;
  std::int64_t run_end_, seen_until_;  // to where the mask's interval reaches; where all rows see
};

/// Attention of one work item, for any instruction family (docs/architecture.md has the atom's
/// members).
template <class Atom, class Element, class Mask, class Epilogue>
KOKKOS_INLINE_FUNCTION void attend(Atom& atom, const problem<Element>& p, const Mask& mask,
                                   const work_item& item, const Epilogue& epilogue) {
  using mask::key_range;
  constexpr int panels = Atom::tile_rows / Atom::panel_rows / Atom::panel_step;
  const int first_panel = atom.first_panel();
  tile_work<panels> mine{item, item.rows.block(0, item.rows.count), {}};
  for (int i = 0; i < panels; ++i) {
    const int row = (first_panel + i * Atom::panel_step) * Atom::panel_rows;
    if (row < item.rows.count) mine.panel[i] = item.rows.block(row, row + Atom::panel_rows);
  }
  const tile_work<panels>& work = atom.keep(mine);
  const tile_rows& rows = work.item.rows;
  const visibility<Mask> visible{mask, rows, work.all};
  tile_walk<Atom::tile_keys, Mask> tiles(mask, work.all, work.item.keys);

  key_tile tile = tiles.next();
  atom.load_queries(p, rows, tile, visible);
  while (tile.keys.size() > 0) {
    const key_tile following = tiles.next();
    atom.stage(p, rows, tile, following, visible);

    for (int i = 0; i < panels; ++i) {
      const int panel = first_panel + i * Atom::panel_step;
      if (panel * Atom::panel_rows >= rows.count) break;
      for (std::int64_t from = tile.keys.begin; from < tile.keys.end;) {
        key_range keys = tile.keys;
        if (Atom::skips_keys && !tile.seen) {
          keys = mask.next(work.panel[i], from);
          if (keys.begin >= tile.keys.end) break;
          if (keys.end > tile.keys.end) keys.end = tile.keys.end;
        }
        from = keys.end;
        const mask::coverage coverage =
            tile.seen ? mask::coverage::full : mask.classify(work.panel[i], keys);
        if (coverage == mask::coverage::empty) continue;

        atom.scores(panel, keys);
        if (p.softcap > 0) atom.softcap(panel, keys, p.softcap);
        // An atom that takes all keys of a tile takes what lies beyond the last one, too.
        const bool whole = Atom::skips_keys || keys.size() == Atom::tile_keys;
        if (coverage != mask::coverage::full || !whole) atom.hide(panel, rows, keys, mask);
        atom.weigh(panel, keys);
        atom.weighted_sum(panel, keys);
      }
    }
    tile = following;
  }
  atom.store(rows, work.item.split, epilogue);
}

}  // namespace delta_attention::kernel
