// The shapes that every mask is tried on: each group varies one thing.
#pragma once

#include <vector>

#include "problem.hpp"

/// Numbers of queries and keys around tile sizes, few queries, more queries than keys.
inline const std::vector<shape> token_shapes = {
    {.queries = 1, .keys = 1},     {.queries = 63, .keys = 63},   {.queries = 65, .keys = 65},
    {.queries = 113, .keys = 203}, {.queries = 239, .keys = 1},   {.queries = 1, .keys = 239},
    {.queries = 97, .keys = 41},   {.queries = 128, .keys = 256}, {.queries = 2, .keys = 700},
    {.queries = 311, .keys = 311},
};

/// Query heads a kv head: 1, 2, 3, 4, 8, 7; several batches.
inline const std::vector<shape> head_shapes = {
    {.batches = 2, .queries = 37, .keys = 70, .query_heads = 2, .kv_heads = 2},
    {.batches = 2, .queries = 70, .keys = 70, .query_heads = 4, .kv_heads = 2},
    {.batches = 1, .queries = 45, .keys = 90, .query_heads = 9, .kv_heads = 3},
    {.batches = 3, .queries = 33, .keys = 50, .query_heads = 4, .kv_heads = 1},
    {.batches = 1, .queries = 70, .keys = 80, .query_heads = 8, .kv_heads = 1},
    {.batches = 2, .queries = 40, .keys = 75, .query_heads = 7, .kv_heads = 1},
    {.batches = 2, .queries = 3, .keys = 400, .query_heads = 14, .kv_heads = 2},
    // Few rows, which a host takes together: of eight kv heads; of two tokens and three kv heads.
    {.batches = 1, .queries = 1, .keys = 300, .query_heads = 32, .kv_heads = 8},
    {.batches = 2, .queries = 2, .keys = 310, .query_heads = 9, .kv_heads = 3},
    {.queries = 1, .keys = 130, .query_heads = 32, .kv_heads = 32, .size = 256, .value_size = 256},
};

/// Head sizes, and value sizes that differ.
inline const std::vector<shape> size_shapes = {
    {.queries = 40, .keys = 75, .size = 16, .value_size = 16},
    {.queries = 40, .keys = 75, .size = 24, .value_size = 24},
    {.queries = 40, .keys = 75, .size = 80, .value_size = 80},
    {.queries = 40, .keys = 75, .size = 96, .value_size = 96},
    {.queries = 40, .keys = 75, .size = 128, .value_size = 128},
    {.queries = 40, .keys = 75, .size = 256, .value_size = 256},
    {.queries = 40, .keys = 75, .size = 16, .value_size = 256},
    {.queries = 40, .keys = 75, .size = 200, .value_size = 24},
    {.queries = 2, .keys = 310, .query_heads = 4, .size = 72, .value_size = 104},
};

/// Nothing to do, or nothing to see.
inline const std::vector<shape> empty_shapes = {
    {.queries = 0, .keys = 20},
    {.queries = 20, .keys = 0},
    {.queries = 0, .keys = 0},
    {.batches = 0, .queries = 5, .keys = 5},
};

/// Everything of `options` but lse, which every call asks for.
inline std::vector<oracle::parameters> every_option(const shape& s) {
  std::vector<float> logits;
  for (integer h = 0; h < s.query_heads; ++h) logits.push_back(2.0f - 1.5f * static_cast<float>(h));
  return {{.scale = 0.4},
          {.scale = -0.2},
          {.softcap = 2.5},
          {.scale = 0.3, .softcap = 30, .sink_logits = logits},
          {.sink_logits = logits}};
}
