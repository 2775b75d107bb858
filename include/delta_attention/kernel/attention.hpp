#pragma once

#include <delta_attention/kernel/launch.hpp>
#include <delta_attention/kernel/states.hpp>

#include <algorithm>

namespace delta_attention::kernel {

/// Attention of the rows of a set under one mask, in tiles of rows, to wherever the epilogue says.
template <class Family, class Exec, class Element, class Mask, class Epilogue>
void tiled_pass(const std::string& label, const Exec& exec, const problem<Element>& p,
                const Mask& bound, const row_set& rows, const Epilogue& epilogue) {
  using atom = typename Family::template tile<Exec, Element>;
  const schedule plan(p, rows, bound.varies_by_head(), atom::tile_rows, 1, atom::tile_keys);
  launch<atom>(label, exec, p, bound, plan, epilogue);
}

/// The schedule of a few rows over many keys: split over the keys until every thread or team has
/// some items.
template <class Atom, class Exec, class Element>
schedule stream_schedule(const Exec& exec, const problem<Element>& p, bool heads_differ,
                         const row_set& rows) {
  constexpr std::int64_t most = 64, least_keys = 8 * Atom::tile_keys;
  const std::int64_t teams = std::int64_t(exec.concurrency()) / Atom::team_size,
                     side_by_side = std::int64_t(p.batches()) *
                                    (heads_differ ? p.query_heads() : p.kv_heads());
  const std::int64_t wanted =
      std::min({most, 4 * teams / std::max<std::int64_t>(side_by_side, 1), p.keys() / least_keys});
  return {p,
          rows,
          heads_differ,
          Atom::tile_rows,
          int(std::max<std::int64_t>(wanted, 1)),
          Atom::tile_keys};
}
template <class Atom, class Element>
bool streams(const problem<Element>& p, bool heads_differ, const row_set& rows) {
  return rows.count * (heads_differ ? 1 : p.group()) <= Atom::tile_rows;
}

/// Attention of the rows of a set under one mask, as output.
template <class Family, class Exec, class Element, class Mask>
void output_pass(const std::string& label, const Exec& exec, const problem<Element>& p,
                 const Mask& bound, const row_set& rows, const output<Element>& to) {
  using atom = typename Family::template stream<Exec, Element>;
  using accumulator = accumulator_of<Element>;
  if (!streams<atom>(p, bound.varies_by_head(), rows)) {
    tiled_pass<Family>(label, exec, p, bound, rows, store_output<Element>{to});
    return;
  }
  const schedule plan = stream_schedule<atom>(exec, p, bound.varies_by_head(), rows);
  const state_memory<Exec, accumulator> states(exec, p.batches(), rows.count, p.query_heads(),
                                               p.value_size(), plan.splits);
  launch<atom>(label, exec, p, bound, plan, states.epilogue());
  for_each_row("delta_attention::merge_splits", exec, p.batches(), rows.count, p.query_heads(),
               merge_splits<Element>{states.out, states.lse, plan.splits, rows, to});
}

}  // namespace delta_attention::kernel
