#pragma once

#include <cstdint>
#include <optional>

namespace delta_attention {

/// Stands for a tensor that a call does not have.
struct none {};

/// What a call may say besides its tensors and its mask; every member has a default, and designated
/// initialisers name the ones that differ: `options{.scale = 0.1, .lse = lse}`.
template <class Lse = none, class SinkLogits = none, class Workspace = none> struct options {
  /// Scores are scale * q.k; by default d^-1/2, with d the channels of q. Finite.
  std::optional<double> scale = std::nullopt;
  /// c > 0: scores become c * tanh(score / c) before the mask. 0: none. Finite.
  double softcap = 0;
  /// Position of query row 0; by default key tokens - query tokens, so that the last row sees the
  /// last key.
  std::optional<std::int64_t> query_offset = std::nullopt;
  /// View (batch, query token, query head) of float (double where the elements are): written with
  /// the natural logarithm of the row's softmax denominator, -infinity for a row that sees no key.
  Lse lse = {};
  /// View (query head) of float: learned logits that join the softmax denominator and nothing else.
  SinkLogits sink_logits = {};
  /// View (byte) of std::byte, char or unsigned char, of at least `workspace_size(...)` bytes: the
  /// call's temporary memory. Such a call allocates nothing and never waits on the host, so that a
  /// CUDA graph can record it. Calls that may run at the same time need workspaces of their own.
  Workspace workspace = {};
};

/// How delta_attention mends the rows of the sparse mask (Delta Attention, arXiv 2505.11254).
enum class correction {
  none,       ///< not at all: the sparse rows as they are
  recompute,  ///< the anchors' rows become dense, the others stay sparse (Eq. 5)
  delta  ///< and the others are shifted by the anchors' difference of dense and sparse (Eq. 6-7)
};

/// The parameters of delta_attention; designated initialisers name the ones that differ from the
/// defaults: `delta{.stride = 128, .average = 16}`.
struct delta {
  /// Anchors are the positions 0, stride, 2 stride, ...; at least 1.
  std::int64_t stride = 64;
  /// What is corrected. (The type has its namespace, since the member hides its name.)
  delta_attention::correction correction = delta_attention::correction::delta;
  /// The differences of the last `average` anchors are averaged, or of those there are; at least 1,
  /// which is the paper. The means start anew in each call.
  std::int64_t average = 1;
  /// The last `tail` rows of the call are dense, unless the correction is none; by default query
  /// tokens mod stride + max(128, stride). Give 0 for every chunk of a prompt but the last.
  std::optional<std::int64_t> tail = std::nullopt;
};

}  // namespace delta_attention
