// What happens to a row between the linear layers. Each is written once, over the lanes of the crew
// (see crew.hpp), and takes row `i` of those that its pointers begin at.
#pragma once

#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "linear.hpp"

namespace prefill {

/// The states that the tokens begin with.
struct embedded {
  static constexpr char const* label = "prefill: embedding";
  int const* tokens;
  float const* embedding;
  std::int64_t width;
  float* y;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t row) const {
    float const* const from = embedding + tokens[row] * width;
    float* const to = y + row * width;
    lanes.each(width, [&](std::int64_t i) { to[i] = from[i]; });
  }
};

/// y = x / rms(x) * weight; y may be x.
struct rms_norm {
  static constexpr char const* label = "prefill: rms_norm";
  float const* x;
  float const* weight;
  std::int64_t width;
  float epsilon;
  float* y;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t row) const {
    float const* const from = x + row * width;
    float* const to = y + row * width;
    float const squares = lanes.sum(width, [&](std::int64_t i) { return from[i] * from[i]; });
    float const scale = 1 / Kokkos::sqrt(squares / float(width) + epsilon);
    lanes.each(width, [&](std::int64_t i) { to[i] = from[i] * scale * weight[i]; });
  }
};

/// gate = silu(gate) * up
struct swiglu {
  static constexpr char const* label = "prefill: swiglu";
  float* gate;
  float const* up;
  std::int64_t width;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t row) const {
    float* const g = gate + row * width;
    float const* const u = up + row * width;
    lanes.each(width, [&](std::int64_t i) { g[i] = g[i] / (1 + Kokkos::exp(-g[i])) * u[i]; });
  }
};

template <class From, class To>
struct converted {
  static constexpr char const* label = "prefill: convert";
  From const* from;
  To* to;
  std::int64_t width;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t row) const {
    From const* const x = from + row * width;
    To* const y = to + row * width;
    lanes.each(width, [&](std::int64_t i) { y[i] = To(x[i]); });
  }
};

/// Where a linear layer may write the floats of `target`, `width` a row: there, if its elements
/// are floats, else between operations.
template <class Element>
float* floats_before(worker& work, Element* target, std::int64_t width) {
  if constexpr (std::is_same_v<Element, float>) return target;
  else return work.take(width);
}

/// Moves them to `target`.
template <class Element>
void store(worker& work, float const* floats, Element* target, std::int64_t width) {
  if constexpr (!std::is_same_v<Element, float>)
    work.each(converted<float, Element>{floats, target, width});
}

/// The floats of `source`.
template <class Element>
float const* load(worker& work, Element const* source, std::int64_t width) {
  if constexpr (std::is_same_v<Element, float>) return source;
  else {
    float* const floats = work.take(width);
    work.each(converted<Element, float>{source, floats, width});
    return floats;
  }
}

/// Which two elements of a head turn together. GGUF files of Llama models have their q and k rows
/// permuted so that the two are neighbours.
enum class rope_pairs { neighbours, halves };

/// One head of one token, i = token * heads + head. `to` may be `from`.
template <class Element>
struct turned {
  static constexpr char const* label = "prefill: rotary";
  float const* from;
  Element* to;
  float const *cosine, *sine;  // (token, pair)
  std::int64_t heads, d, pairs;
  std::int64_t step, apart;  // from pair to pair, and within one

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t i) const {
    float const* const x = from + i * d;
    Element* const y = to + i * d;
    auto const angles = i / heads * pairs;
    lanes.each(pairs, [&](std::int64_t pair) {
      float const a = x[pair * step], b = x[pair * step + apart];
      float const c = cosine[angles + pair], s = sine[angles + pair];
      y[pair * step] = Element(a * c - b * s);
      y[pair * step + apart] = Element(a * s + b * c);
    });
    auto const rest = 2 * pairs;
    lanes.each(d - rest, [&](std::int64_t c) { y[rest + c] = Element(x[rest + c]); });
  }
};

/// Rotary positions: pair i of the row at position p turns by the angle p * frequencies[i].
class rotary {
 public:
  rotary(std::vector<double> const& frequencies, rope_pairs pairs, std::int64_t positions)
      : next_(pairs == rope_pairs::neighbours), pairs_(std::int64_t(frequencies.size())) {
    std::vector<float> cosine, sine;
    for (std::int64_t p = 0; p < positions; ++p)
      for (double const frequency : frequencies) {
        cosine.push_back(float(std::cos(double(p) * frequency)));
        sine.push_back(float(std::sin(double(p) * frequency)));
      }
    cosine_ = upload(cosine);
    sine_ = upload(sine);
  }

  /// Turns a worker's rows (row, head, d) on their way to `to`.
  template <class Element>
  void turn(worker& work, float const* from, Element* to, std::int64_t heads,
            std::int64_t d) const {
    auto const first = work.begin() * pairs_;
    work.each(turned<Element>{from, to, cosine_.data() + first, sine_.data() + first, heads, d,
                              pairs_, next_ ? 2 : 1, next_ ? 1 : pairs_}, heads);
  }

 private:
  bool next_;
  std::int64_t pairs_;
  numbers cosine_, sine_;  // (position, pair)
};

}  // namespace prefill
