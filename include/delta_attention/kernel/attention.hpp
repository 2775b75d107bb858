#pragma once

#include <delta_attention/kernel/launch.hpp>
#include <delta_attention/kernel/states.hpp>

#include <algorithm>
#include <type_traits>

namespace delta_attention::kernel {

/// Attention of the rows of a set under one mask, in tiles of rows, to wherever the epilogue says.
template <class Family, class Exec, class Element, class Mask, class Epilogue>
void tiled_pass(const std::string& label, const Exec& exec, const problem<Element>& p,
                const Mask& bound, const row_set& rows, const Epilogue& epilogue) {
  Family::template with_tile<Exec>(
      p, [&]<class Atom>(std::type_identity<Atom>, const auto&... data) {
        const schedule plan(p, rows, bound.varies_by_head(), Atom::tile_rows, 1, Atom::tile_keys);
        launch<Atom>(label, exec, p, bound, plan, epilogue, data...);
      });
}

/// The schedule of a few rows over many keys: split over the keys until every thread or team has
/// some items.
template <class Atom, class Exec, class Element>
schedule stream_schedule(const Exec& exec, const problem<Element>& p, bool heads_differ,
                         const row_set& rows) {
  constexpr std::int64_t most = 64, least_keys = 8 * Atom::tile_keys;
  int together = 1;  // kv heads whose rows share a tile
  if (Atom::several_kv_heads && !heads_differ)
    for (int n = 2; n <= p.kv_heads(); ++n)
      if (p.kv_heads() % n == 0 && rows.count * p.group() * n <= Atom::tile_rows) together = n;
  const std::int64_t side_by_side =
      std::int64_t(p.batches()) * (heads_differ ? p.query_heads() : p.kv_heads() / together);
  const std::int64_t wanted =
      std::min({most, Atom::wanted_items(exec) / std::max<std::int64_t>(side_by_side, 1),
                p.keys() / least_keys});
  return {p,
          rows,
          heads_differ,
          Atom::tile_rows,
          int(std::max<std::int64_t>(wanted, 1)),
          Atom::tile_keys,
          together};
}
template <class Atom, class Element>
bool streams(const problem<Element>& p, bool heads_differ, const row_set& rows) {
  return rows.count * (heads_differ ? 1 : p.group()) <= Atom::tile_rows;
}

/// Attention of the rows of a set under one mask, as output.
template <class Family, class Exec, class Element, class Mask>
void output_pass(const std::string& label, const Exec& exec, const problem<Element>& p,
                 const Mask& bound, const row_set& rows, const output<Element>& to) {
  using accumulator = accumulator_of<Element>;
  Family::template with_stream<Exec>(p, [&]<class Atom>(std::type_identity<Atom>) {
    if (!streams<Atom>(p, bound.varies_by_head(), rows)) {
      tiled_pass<Family>(label, exec, p, bound, rows, store_output<Element>{to});
      return;
    }
    const schedule plan = stream_schedule<Atom>(exec, p, bound.varies_by_head(), rows);
    const state_memory<Exec, accumulator> states(exec, p.batches(), rows.count, p.query_heads(),
                                                 p.value_size(), plan.splits);
    launch<Atom>(label, exec, p, bound, plan, states.epilogue());
    for_each_row("delta_attention::merge_splits", exec, p.batches(), rows.count, p.query_heads(),
                 merge_splits<Element>{states.out, states.lse, plan.splits, rows, to});
  });
}

}  // namespace delta_attention::kernel
