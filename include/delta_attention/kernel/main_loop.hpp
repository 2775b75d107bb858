#pragma once

#include <delta_attention/kernel/schedule.hpp>
#include <delta_attention/kernel/softmax.hpp>
#include <delta_attention/mask/algebra.hpp>

namespace delta_attention::kernel {

/// Attention of one work item, for any instruction family (docs/architecture.md has the atom's
/// members).
template <class Atom, class Element, class Mask, class Epilogue>
KOKKOS_INLINE_FUNCTION void attend(Atom& atom, const problem<Element>& p, const Mask& mask,
                                   const work_item& work, const Epilogue& epilogue) {
  using mask::key_range;
  const tile_rows& rows = work.rows;
  const mask::row_block all = rows.block(0, rows.count);
  // Exact where classify may say `partial` of a key that nobody sees; only asked of values that are
  // not finite.
  const auto seen = [&](std::int64_t key) {
    bool any = false;
    for (int r = 0; r < rows.count && !any; ++r)
      any = mask.allows(rows.batch, rows.head(r), rows.position(r), key);
    return any;
  };

  atom.load_queries(p, rows);
  for (std::int64_t at = work.keys.begin;;) {
    key_range tile = mask.next(all, at);
    if (tile.begin >= work.keys.end) break;
    if (tile.end > work.keys.end) tile.end = work.keys.end;
    if (tile.size() > Atom::tile_keys) tile.end = tile.begin + Atom::tile_keys;
    at = tile.end;
    atom.stage(p, rows, tile, seen);

    for (int panel = atom.first_panel(); panel * Atom::panel_rows < rows.count;
         panel += Atom::panel_step) {
      const mask::row_block block =
          rows.block(panel * Atom::panel_rows, (panel + 1) * Atom::panel_rows);
      for (std::int64_t from = tile.begin;;) {
        key_range keys = mask.next(block, from);
        if (keys.begin >= tile.end) break;
        if (keys.end > tile.end) keys.end = tile.end;
        from = keys.end;
        const mask::coverage coverage = mask.classify(block, keys);
        if (coverage == mask::coverage::empty) continue;

        auto tile_maximum = atom.scores(panel, keys);
        if (p.softcap > 0) tile_maximum = atom.softcap(panel, keys, p.softcap);
        if (coverage == mask::coverage::partial) tile_maximum = atom.hide(panel, rows, keys, mask);

        auto& softmax = atom.statistics(panel);
        const auto factor = softmax.raise(tile_maximum);
        const auto tile_sum = atom.exponentials(panel, keys, softmax.reference());
        softmax.add(factor, tile_sum);
        atom.weighted_sum(panel, keys, factor);
      }
    }
  }
  atom.store(rows, work.split, epilogue);
}

}  // namespace delta_attention::kernel
