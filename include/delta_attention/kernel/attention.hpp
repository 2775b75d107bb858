#pragma once

#include <delta_attention/kernel/launch.hpp>
#include <delta_attention/kernel/states.hpp>

#include <algorithm>
#include <type_traits>

namespace delta_attention::kernel {

/// What a GPU's cache holds of keys and values (L2: 40 MiB on A100, 50 on H100); and of those that
/// all multiprocessors read, by measurement: its two halves seem to keep a copy each.
inline constexpr std::int64_t cache_bytes = std::int64_t(32) << 20,
                              shared_cache_bytes = cache_bytes / 2;

/// Keys and values of one kv head.
template <class Element> std::int64_t bytes_of_head(const problem<Element>& p) {
  return p.keys() * (p.head_size() + p.value_size()) * std::int64_t(sizeof(Element));
}

/// The tiles of the rows of a set. A GPU takes heads in turn where its cache does not hold all
/// their keys and values: all teams then read the same ones.
template <class Atom, class Element>
schedule tiles_of(const problem<Element>& p, bool heads_differ, const row_set& rows) {
  schedule plan(p, rows, heads_differ, Atom::tile_rows);
  plan.heads_in_turn =
      Atom::shares_cache && p.batches() * p.kv_heads() * bytes_of_head(p) > cache_bytes;
  return plan;
}

/// Attention of the rows of a set under one mask, in tiles of rows, to wherever the epilogue says.
template <class Family, class Run, class Element, class Mask, class Epilogue>
void tiled_pass(const std::string& label, Run& run, const problem<Element>& p, const Mask& bound,
                const row_set& rows, const Epilogue& epilogue) {
  Family::template with_tile<typename Run::space, Mask>(
      p, [&]<class Atom>(std::type_identity<Atom>, const auto&... data) {
        const schedule plan = tiles_of<Atom>(p, bound.varies_by_head(), rows);
        launch<Atom>(label, run, p, bound, plan, epilogue, data...);
      });
}

/// Cuts the keys until there are `wanted` items, or the parts have less than `least` tiles.
template <class Atom> schedule split(schedule plan, std::int64_t wanted, std::int64_t least) {
  constexpr std::int64_t most = 64;
  const std::int64_t least_keys = least * Atom::tile_keys;
  plan.split(
      std::min({most, wanted / std::max<std::int64_t>(plan.items(), 1), plan.keys / least_keys}),
      Atom::tile_keys);
  return plan;
}

/// A part of keys with fewer tiles is not worth its states.
inline constexpr std::int64_t least_tiles = 8;

/// The schedule of tiles of rows: several items for every thread or team, since under a causal mask
/// they differ in length.
template <class Atom, class Exec, class Element>
schedule tile_schedule(const Exec& exec, const problem<Element>& p, bool heads_differ,
                       const row_set& rows) {
  return split<Atom>(tiles_of<Atom>(p, heads_differ, rows), 4 * Atom::wanted_items(exec),
                     least_tiles);
}

/// States of the rows of a set under one mask. Of one that shows most keys up to a row's own
/// (`causal_like`) to rows far apart, teams would each read other keys at a time: the keys are cut
/// into parts that the cache holds, and all rows meet one part after the other. Every part is one
/// more state to keep of each row after it (4.5 GB of them for the 32 parts of 1M keys, 32 heads of
/// d 128 and a stride of 64): beyond that the parts grow, up to the whole cache.
template <class Family, class Run, class Element, class Mask>
auto states_pass(const std::string& label, Run& run, const problem<Element>& p, const Mask& bound,
                 const row_set& rows, bool causal_like) {
  row_states<accumulator_of<Element>> states;
  Family::template with_tile<typename Run::space, Mask>(p, [&]<class Atom>(std::type_identity<Atom>,
                                                                           const auto&... data) {
    schedule plan = tile_schedule<Atom>(run.instance(), p, bound.varies_by_head(), rows);
    if (causal_like && plan.heads_in_turn) {
      constexpr std::int64_t most_short_parts = 32;
      const auto parts = [](std::int64_t bytes, std::int64_t cache) {
        return (bytes - 1) / cache + 1;
      };
      // Where there are fewer tiles than teams, the teams read several parts at a time.
      const std::int64_t bytes = bytes_of_head(p),
                         at_once = (Atom::wanted_items(run.instance()) - 1) / plan.tiles + 1;
      plan.split(std::max({std::int64_t(plan.parts.count), parts(bytes, cache_bytes),
                           std::min({parts(at_once * bytes, shared_cache_bytes), most_short_parts,
                                     plan.keys / (least_tiles * Atom::tile_keys)})}),
                 Atom::tile_keys, true);
    }
    states = decltype(states)::take(run, p, plan.parts);
    launch<Atom>(label, run, p, bound, plan, states.epilogue(), data...);
  });
  return states;
}

/// The schedule of a few rows over many keys: split over the keys until every thread or team has
/// some items.
template <class Atom, class Exec, class Element>
schedule stream_schedule(const Exec& exec, const problem<Element>& p, bool heads_differ,
                         const row_set& rows) {
  const auto plan = [&](int together) {  // kv heads whose rows share a tile
    return split<Atom>({p, rows, heads_differ, Atom::tile_rows, together}, Atom::wanted_items(exec),
                       2);
  };
  schedule best = plan(1);
  if constexpr (Atom::several_kv_heads)
    for (int n = 2; n <= p.kv_heads() && !heads_differ; ++n)
      if (p.kv_heads() % n == 0 && rows.count * p.group() * n <= Atom::tile_rows) {
        const schedule larger = plan(n);  // fewer items, but not fewer than threads
        if (larger.items() >= std::min<std::int64_t>(best.items(), exec.concurrency()))
          best = larger;
      }
  return best;
}
template <class Atom, class Element>
bool streams(const problem<Element>& p, bool heads_differ, const row_set& rows) {
  return rows.count * (heads_differ ? 1 : p.group()) <= Atom::few_rows;
}

/// Attention of the rows of a set under one mask, as output; where the keys are split, by way of
/// states.
template <class Family, class Run, class Element, class Mask>
void output_pass(const std::string& label, Run& run, const problem<Element>& p, const Mask& bound,
                 const row_set& rows, const output<Element>& to) {
  using space = typename Run::space;
  const bool heads_differ = bound.varies_by_head();
  const auto merged = [&]<class Atom>(std::type_identity<Atom>, const schedule& plan,
                                      const auto&... data) {
    const auto states = row_states<accumulator_of<Element>>::take(run, p, plan.parts);
    launch<Atom>(label, run, p, bound, plan, states.epilogue(), data...);
    for_each_row("delta_attention::merge_splits", run, p.batches(), rows.count, p.query_heads(),
                 store_merged<Element>{states, rows, to});
  };
  const auto tiled = [&]<class Atom>(std::type_identity<Atom> atom, const auto&... data) {
    const schedule plan = tile_schedule<Atom>(run.instance(), p, heads_differ, rows);
    if (plan.parts.count > 1)
      merged(atom, plan, data...);
    else
      launch<Atom>(label, run, p, bound, plan, store_output<Element>{to}, data...);
  };
  Family::template with_stream<space>(p, [&]<class Atom>(std::type_identity<Atom> atom) {
    if (streams<Atom>(p, heads_differ, rows))
      merged(atom, stream_schedule<Atom>(run.instance(), p, heads_differ, rows));
    else
      Family::template with_tile<space, Mask>(p, tiled);
  });
}

}  // namespace delta_attention::kernel
