// A mask of the library beside the oracle's predicate for it; | and & build both sides at once.
#pragma once

#include <delta_attention/delta_attention.hpp>
#include <random>
#include <string>
#include <utility>

#include "oracle_masks.hpp"
#include "problem.hpp"

template <class Mask> struct mask_case {
  Mask mask;
  oracle::predicate allows;
  std::string name;
};

template <class A, class B> auto operator|(const mask_case<A>& a, const mask_case<B>& b) {
  using mask = decltype(a.mask | b.mask);
  return mask_case<mask>{a.mask | b.mask, oracle::either(a.allows, b.allows),
                         "(" + a.name + " | " + b.name + ")"};
}
template <class A, class B> auto operator&(const mask_case<A>& a, const mask_case<B>& b) {
  using mask = decltype(a.mask & b.mask);
  return mask_case<mask>{a.mask & b.mask, oracle::both(a.allows, b.allows),
                         "(" + a.name + " & " + b.name + ")"};
}

/// A user's own mask: depends on batch, head, position and key, and leaves some rows empty.
struct scattered : da::mask_base {
  integer seed = 0;
  scattered() = default;
  explicit scattered(integer s) : seed(s) {}
  KOKKOS_FUNCTION bool allows(int batch, int query_head, std::int64_t position,
                              std::int64_t key) const {
    const integer row = position + 3 * query_head + 7 * batch + seed;
    return row % 11 != 0 && (row * row + key * (query_head + 2) + key / 16) % 5 < 2;
  }
};

namespace cases {

inline mask_case<da::full> full() {
  return {da::full{}, oracle::full(), "full"};
}
inline mask_case<da::causal> causal() {
  return {da::causal{}, oracle::causal(), "causal"};
}

inline mask_case<da::sink_window> sink_window(integer sinks, integer window, integer align = 1) {
  return {da::sink_window{.sinks = sinks, .window = window, .align = align},
          oracle::sink_window(sinks, window, align),
          "sink_window " + std::to_string(sinks) + "," + std::to_string(window) + "," +
              std::to_string(align)};
}

inline mask_case<scattered> user(integer seed = 0) {
  // Written again, not called: the oracle shares nothing.
  return {scattered(seed),
          [seed](int b, int h, integer p, integer j) {
            const integer row = p + 3 * h + 7 * b + seed;
            return row % 11 != 0 && (row * row + j * (h + 2) + j / 16) % 5 < 2;
          },
          "user " + std::to_string(seed)};
}

/// How block lists are extended and built.
struct block_options {
  integer query_block = 16, key_block = 16;
  bool per_batch = true, per_head = true;
  bool from_csr = false;
  double visible = 0.4;
  unsigned seed = 1;
};

inline oracle::block_table random_blocks(const shape& s, const block_options& o) {
  oracle::block_table table(o.per_batch && s.batches > 0 ? s.batches : 1,
                            o.per_head ? s.query_heads : 1, s.queries, s.keys, o.query_block,
                            o.key_block);
  std::mt19937 engine(o.seed);
  std::bernoulli_distribution coin(o.visible);
  for (char& visible : table.visible) visible = coin(engine);
  // Now and then a list without any block, and one with all of them.
  for (integer b = 0; b < table.batches; ++b)
    for (integer h = 0; h < table.heads; ++h)
      for (integer i = 0; i < table.query_blocks; ++i)
        if (const unsigned luck = engine() % 8; luck < 2)
          for (integer j = 0; j < table.key_blocks; ++j) table(b, h, i, j) = luck == 1;
  return table;
}

template <class Exec> auto lists_from_mask(const Exec& exec, const oracle::block_table& t) {
  Kokkos::View<bool****, typename Exec::memory_space> visible("visible", t.batches, t.heads,
                                                              t.query_blocks, t.key_blocks);
  const auto host = Kokkos::create_mirror_view(visible);
  for (integer b = 0; b < t.batches; ++b)
    for (integer h = 0; h < t.heads; ++h)
      for (integer i = 0; i < t.query_blocks; ++i)
        for (integer j = 0; j < t.key_blocks; ++j) host(b, h, i, j) = t(b, h, i, j) != 0;
  Kokkos::deep_copy(visible, host);
  return da::block_lists_from_mask(exec, visible, t.query_block, t.key_block);
}

template <class Exec> auto lists_from_csr(const Exec& exec, const oracle::block_table& t) {
  const integer rows = t.batches * t.heads * t.query_blocks;
  std::vector<int> found;
  Kokkos::View<int*, typename Exec::memory_space> offsets("offsets", rows + 1);
  const auto host_offsets = Kokkos::create_mirror_view(offsets);
  for (integer r = 0; r < rows; ++r) {
    for (integer j = 0; j < t.key_blocks; ++j)
      if (t.visible[static_cast<std::size_t>(r * t.key_blocks + j)])
        found.push_back(static_cast<int>(j));
    host_offsets(r + 1) = static_cast<int>(found.size());
  }
  Kokkos::View<integer*, typename Exec::memory_space> indices("indices", found.size());
  const auto host_indices = Kokkos::create_mirror_view(indices);
  for (std::size_t i = 0; i < found.size(); ++i) host_indices(i) = found[i];
  Kokkos::deep_copy(offsets, host_offsets);
  Kokkos::deep_copy(indices, host_indices);
  return da::block_lists_from_csr(exec, offsets, indices, t.batches, t.heads, t.query_block,
                                  t.key_block);
}

template <class Exec> using block_mask = da::block_sparse<typename Exec::memory_space>;

template <class Exec>
mask_case<block_mask<Exec>> blocks(const Exec& exec, const oracle::block_table& table,
                                   integer query_offset, bool from_csr, std::string name) {
  const auto lists = from_csr ? lists_from_csr(exec, table) : lists_from_mask(exec, table);
  exec.fence("test: block lists are ready");
  return {block_mask<Exec>{lists}, oracle::block_sparse(table, query_offset), std::move(name)};
}

template <class Exec>
mask_case<block_mask<Exec>> blocks(const Exec& exec, const shape& s, integer query_offset,
                                   const block_options& o = {}) {
  const std::string name = "blocks " + std::to_string(o.query_block) + "x" +
                           std::to_string(o.key_block) + (o.per_batch ? " per batch" : "") +
                           (o.per_head ? " per head" : "") + (o.from_csr ? " csr" : "");
  return blocks(exec, random_blocks(s, o), query_offset, o.from_csr, name);
}

}  // namespace cases
