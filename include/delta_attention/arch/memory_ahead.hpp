#pragma once

#include <delta_attention/arch/vector.hpp>

#if defined(DELTA_ATTENTION_HAS_SIMD)
#include <delta_attention/mask/mask.hpp>
#include <delta_attention/tensor/tensor.hpp>

#include <algorithm>
#include <cstdint>

// What the host asks of memory before it reads keys or values where they lie. Measured in
// docs/performance.md ("A Zen 3", "Pages").
namespace delta_attention::arch {

/// Asks for one line of each page of the keys of some heads. A core looks up several pages at once
/// that it does not know, but only those that it meets within some hundred instructions: asked for
/// line by line, each would be waited for alone.
template <class Element>
void find_pages(const tensor<const Element>& x, int batch, int first_head, int heads,
                mask::key_range keys) {
  constexpr std::int64_t page_bytes = 4096;
  const auto step = [](std::int64_t stride) {
    const std::int64_t bytes = stride * std::int64_t(sizeof(Element));
    return 0 < bytes && bytes < page_bytes ? page_bytes / bytes : 1;
  };
  const std::int64_t tokens = step(x.token_stride), several = step(x.head_stride);
  for (std::int64_t head = 0; head < heads; head += several)
    for (std::int64_t token = keys.begin; token < keys.end; token += tokens)
      __builtin_prefetch(x.row(batch, token, first_head + head), 0, 2);
}

/// Where the lines of `Tokens` tokens lie, some further on, in the order of memory. (In the order
/// in which products use them, a line of each token in turn, they come later.)
template <class Element, int Tokens, int MostHeads> struct lines_ahead {
  static constexpr int bytes_ahead = 16384, channels = 64 / int(sizeof(Element));  // of a line

  std::int64_t at[Tokens * MostHeads * (256 / channels)];  // elements from a token's first on
  int of_head;                                             // lines that a head of a token has

  /// Of heads of `size` channels.
  void list(const tensor<const Element>& x, int size, int heads) {
    of_head = (size + channels - 1) / channels;
    const int bytes = heads * size * int(sizeof(Element)),
              tokens_ahead = std::max(bytes_ahead / bytes, Tokens);
    const bool token_by_token = x.head_stride < x.token_stride;
    for (int i = 0; i < Tokens * heads; ++i) {
      const int token = token_by_token ? i / heads : i % Tokens,
                head = token_by_token ? i % heads : i / Tokens;
      for (int line = 0; line < of_head; ++line)
        at[i * of_head + line] =
            (tokens_ahead + token) * x.token_stride + head * x.head_stride + line * channels;
    }
  }

  /// Asks for one of them beside the first vector of each line that is used: evenly, and into L2,
  /// since a core soon has no more misses of L1 to wait for. They may lie beyond the last key: a
  /// prefetch of memory that is not there does nothing.
  struct cursor {
    const std::int64_t* line;
    bool next;  // false: a line in use again, to no use

    DELTA_ATTENTION_INLINE void beside(int channel, const Element* token) {
      if (channel % channels != 0) return;
      __builtin_prefetch(token + *line, 0, 2);
      line += next;
    }
  };
  /// Beside `Count` tokens of a head, unless others that use the same lines do so.
  template <int Count> DELTA_ATTENTION_INLINE cursor asking(int head, bool asks) const {
    static constexpr std::int64_t here = 0;
    return {asks ? at + head * Count * of_head : &here, asks};
  }
};

}  // namespace delta_attention::arch
#endif
