// What is measured: methods, shapes, their names, and the exact number of pairs that each needs.
#pragma once
#include <algorithm>
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

enum class method {
  dense,                 // causal
  sink_window,           // 256 sinks, a window of 512
  block_lists,           // every fourth 128 x 128 block under the diagonal, one list for all heads
  block_lists_per_head,  // the same, each query head its own list
  delta,                 // delta_attention, stride 64, over sink_window
  decode                 // one query row over all keys
};

inline constexpr method all_methods[] = {method::dense,       method::sink_window,
                                         method::block_lists, method::block_lists_per_head,
                                         method::delta,       method::decode};

constexpr const char* name_of(method m) {
  switch (m) {
    case method::dense:
      return "dense";
    case method::sink_window:
      return "sink_window";
    case method::block_lists:
      return "block_lists";
    case method::block_lists_per_head:
      return "block_lists_per_head";
    case method::delta:
      return "delta";
    case method::decode:
      return "decode";
  }
  return "";
}

inline constexpr std::int64_t sinks = 256, window = 512, stride = 64, tail_at_least = 128;
inline constexpr std::int64_t block = 128;

/// One case: `sink_window/float/n8192/d128/h8/kv2` is its name, for people and for `serve` alike.
struct case_spec {
  method what;
  std::string element;  // "float" or "bfloat16"
  std::int64_t tokens, head_size;
  int heads, kv_heads;

  std::int64_t queries() const { return what == method::decode ? 1 : tokens; }

  std::string name() const {
    std::ostringstream s;
    s << name_of(what) << '/' << element << "/n" << tokens << "/d" << head_size << "/h" << heads
      << "/kv" << kv_heads;
    return s.str();
  }
};

/// The inverse of case_spec::name.
inline case_spec parse_case(const std::string& name) {
  std::istringstream s(name);
  std::vector<std::string> parts;
  for (std::string part; std::getline(s, part, '/');) parts.push_back(part);
  const auto number = [&](std::size_t part, const std::string& letters) {
    if (parts[part].compare(0, letters.size(), letters) != 0)
      throw std::invalid_argument("no case: " + name);
    return std::stoll(parts[part].substr(letters.size()));
  };
  if (parts.size() == 6)
    for (const method m : all_methods)
      if (parts[0] == name_of(m))
        return {m,
                parts[1],
                number(2, "n"),
                number(3, "d"),
                static_cast<int>(number(4, "h")),
                static_cast<int>(number(5, "kv"))};
  throw std::invalid_argument("no case: " + name);
}

/// The key blocks that query head `head` sees from query block `i`: the diagonal block, and of
/// those before it as many as make a quarter in all, picked by a hash.
inline std::vector<bool> visible_key_blocks(std::int64_t i, int head) {
  const auto hash = [&](std::int64_t j) {
    std::uint64_t x = (static_cast<std::uint64_t>(head) << 40) +
                      (static_cast<std::uint64_t>(i) << 20) + static_cast<std::uint64_t>(j) +
                      0x9e3779b97f4a7c15U;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
    return x ^ (x >> 31);
  };
  std::vector<std::int64_t> before(i);
  for (std::int64_t j = 0; j < i; ++j) before[j] = j;
  std::sort(before.begin(), before.end(),
            [&](std::int64_t a, std::int64_t b) { return hash(a) < hash(b); });
  std::vector<bool> visible(i + 1);
  visible[i] = true;
  const std::int64_t others = std::max<std::int64_t>((i + 1 + 2) / 4 - 1, 0);
  for (std::int64_t x = 0; x < others; ++x) visible[before[x]] = true;
  return visible;
}

inline double sink_window_pairs(std::int64_t position) {
  return static_cast<double>(std::min(position + 1, sinks) +
                             std::clamp<std::int64_t>(position + 1 - sinks, 0, window));
}

/// Visible pairs of (query, key) of one head. Every pair that a method must look at counts once,
/// the dense rows of delta (anchors and tail) with all their keys.
inline double pairs_of_head(const case_spec& c, int head) {
  const std::int64_t n = c.tokens;
  double pairs = 0;
  switch (c.what) {
    case method::decode:
      return static_cast<double>(n);
    case method::dense:
      return static_cast<double>(n) * static_cast<double>(n + 1) / 2;
    case method::sink_window:
      for (std::int64_t p = 0; p < n; ++p) pairs += sink_window_pairs(p);
      return pairs;
    case method::delta: {
      const std::int64_t tail = n % stride + std::max(tail_at_least, stride);
      for (std::int64_t p = 0; p < n; ++p) {
        const bool dense = p % stride == 0 || p >= n - tail;
        pairs += dense ? static_cast<double>(p + 1) : sink_window_pairs(p);
      }
      return pairs;
    }
    case method::block_lists:
    case method::block_lists_per_head:
      for (std::int64_t i = 0; i < n / block; ++i) {
        const auto visible = visible_key_blocks(i, c.what == method::block_lists ? 0 : head);
        const auto full = static_cast<double>(std::count(visible.begin(), visible.end(), true) - 1);
        pairs += full * block * block + static_cast<double>(block) * (block + 1) / 2;
      }
      return pairs;
  }
  return pairs;
}

inline double pairs_of(const case_spec& c) {
  double pairs = 0;
  for (int head = 0; head < c.heads; ++head) pairs += pairs_of_head(c, head);
  return pairs;
}

/// 2 d for a score, 2 dv for its share of the output; what softmax costs does not count.
inline double flops_of(const case_spec& c) {
  return pairs_of(c) * 4.0 * static_cast<double>(c.head_size);
}

/// Queries, keys and values read once, the output written once.
inline double bytes_of(const case_spec& c) {
  const double size = c.element == "float" ? 4 : 2;
  const double rows = 2.0 * c.heads * static_cast<double>(c.queries()) +
                      2.0 * c.kv_heads * static_cast<double>(c.tokens);
  return rows * size * static_cast<double>(c.head_size);
}

/// The dense call on the same tensors.
inline case_spec dense_of(case_spec c) {
  c.what = method::dense;
  return c;
}

/// All cases, as `bench_attention` registers them.
inline std::vector<case_spec> all_cases() {
  std::vector<case_spec> cases;
  for (const char* element : {"float", "bfloat16"}) {
    const auto add = [&](method m, std::initializer_list<std::int64_t> tokens,
                         std::initializer_list<std::int64_t> head_sizes, int heads, int kv_heads) {
      for (const std::int64_t d : head_sizes)
        for (const std::int64_t n : tokens) cases.push_back({m, element, n, d, heads, kv_heads});
    };
    add(method::dense, {2048, 4096, 8192, 16384}, {64, 128}, 8, 2);
    add(method::dense, {256, 512, 4096}, {128}, 32, 8);
    add(method::sink_window, {4096, 8192, 16384, 32768}, {64, 128}, 8, 2);
    add(method::block_lists, {8192, 16384}, {64, 128}, 8, 2);
    add(method::block_lists_per_head, {8192}, {128}, 8, 2);
    add(method::delta, {4096, 8192, 16384, 32768}, {64, 128}, 8, 2);
    add(method::decode, {65536}, {64, 128}, 8, 2);
  }
  return cases;
}

}  // namespace bench
