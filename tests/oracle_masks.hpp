// The oracle's masks: predicates written from the definitions, knowing nothing of tiles or ranges.
#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "oracle.hpp"

namespace oracle {

inline predicate full() {
  return [](int, int, integer, integer) { return true; };
}

inline predicate causal() {
  return [](int, int, integer position, integer key) { return key <= position; };
}

// The end of the window is the row itself (align 1), or the last position of its aligned group.
inline predicate sink_window(integer sinks, integer window, integer align = 1) {
  return [=](int, int, integer position, integer key) {
    if (key > position) return false;
    const integer end = floor_divide(position, align) * align + align - 1;
    return key < sinks || key > end - window;
  };
}

struct block_table {  // bool (batch|1, head|1, query block, key block)
  integer batches = 1, heads = 1, query_blocks = 0, key_blocks = 0;
  integer query_block = 16, key_block = 16;  // tokens in a block
  std::vector<char> visible;

  block_table(integer batches, integer heads, integer queries, integer keys, integer query_block,
              integer key_block, bool fill = false)
      : batches(batches),
        heads(heads),
        query_blocks((queries + query_block - 1) / query_block),
        key_blocks((keys + key_block - 1) / key_block),
        query_block(query_block),
        key_block(key_block),
        visible(static_cast<std::size_t>(batches * heads * query_blocks * key_blocks), fill) {}

  char& operator()(integer batch, integer head, integer row, integer column) {
    return visible[static_cast<std::size_t>(
        ((batch * heads + head) * query_blocks + row) * key_blocks + column)];
  }
  char operator()(integer batch, integer head, integer row, integer column) const {
    return visible[static_cast<std::size_t>(
        ((batch * heads + head) * query_blocks + row) * key_blocks + column)];
  }
};

// Query blocks count rows of the call, key blocks count keys.
inline predicate block_sparse(block_table table, integer query_offset) {
  auto shared = std::make_shared<const block_table>(std::move(table));
  return [=](int batch, int head, integer position, integer key) {
    const block_table& t = *shared;
    return t(t.batches == 1 ? 0 : batch, t.heads == 1 ? 0 : head,
             (position - query_offset) / t.query_block, key / t.key_block) != 0;
  };
}

inline predicate either(predicate a, predicate b) {
  return [a = std::move(a), b = std::move(b)](int batch, int head, integer position, integer key) {
    return a(batch, head, position, key) || b(batch, head, position, key);
  };
}

inline predicate both(predicate a, predicate b) {
  return [a = std::move(a), b = std::move(b)](int batch, int head, integer position, integer key) {
    return a(batch, head, position, key) && b(batch, head, position, key);
  };
}

}  // namespace oracle
