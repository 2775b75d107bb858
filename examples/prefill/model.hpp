// Llama and Qwen2 models: weights from a GGUF file, and one pass of all tokens through all layers.
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "attention.hpp"
#include "linear.hpp"

namespace prefill {

/// y = x / rms(x) * weight, a row each.
inline void rms_norm(float const* x, std::int64_t rows, std::vector<float> const& weight,
                     float epsilon, float* y) {
  auto const width = weight.size();
  for (std::int64_t r = 0; r < rows; ++r, x += width, y += width) {
    float squares = 0;
    for (std::size_t i = 0; i < width; ++i) squares += x[i] * x[i];
    float const scale = 1 / std::sqrt(squares / float(width) + epsilon);
    for (std::size_t i = 0; i < width; ++i) y[i] = x[i] * scale * weight[i];
  }
}

/// Which two elements of a head turn together. GGUF files of Llama models have their q and k rows
/// permuted so that the two are neighbours.
enum class rope_pairs { neighbours, halves };

/// Rotary positions: pair i of the row at position p turns by the angle p * frequencies[i].
class rotary {
 public:
  rotary(std::vector<double> const& frequencies, rope_pairs pairs, std::int64_t positions)
      : pairs_(pairs), count_(std::int64_t(frequencies.size())) {
    for (std::int64_t p = 0; p < positions; ++p)
      for (double const frequency : frequencies) {
        cosine_.push_back(float(std::cos(double(p) * frequency)));
        sine_.push_back(float(std::sin(double(p) * frequency)));
      }
  }

  /// Turns rows (row, head, d) in place; the first is at position `begin`.
  void turn(float* x, std::int64_t begin, std::int64_t rows, std::int64_t heads,
            std::int64_t d) const {
    bool const next = pairs_ == rope_pairs::neighbours;
    auto const step = next ? std::int64_t(2) : std::int64_t(1), apart = next ? 1 : count_;
    for (std::int64_t r = 0; r < rows; ++r) {
      float const* const cosine = cosine_.data() + (begin + r) * count_;
      float const* const sine = sine_.data() + (begin + r) * count_;
      for (std::int64_t h = 0; h < heads; ++h, x += d)
        for (std::int64_t i = 0; i < count_; ++i) {
          float const a = x[i * step], b = x[i * step + apart];
          x[i * step] = a * cosine[i] - b * sine[i];
          x[i * step + apart] = a * sine[i] + b * cosine[i];
        }
    }
  }

 private:
  rope_pairs pairs_;
  std::int64_t count_;
  std::vector<float> cosine_, sine_;  // (position, pair)
};

/// gate = silu(gate) * up
inline void swiglu(float* gate, float const* up, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
}

class model {
 public:
  explicit model(gguf const& file) {
    auto const architecture = file.text("general.architecture", "");
    if (architecture != "llama" && architecture != "qwen2")
      file.fail("its architecture is '" + architecture + "'; this program knows llama and qwen2");
    auto const key = [&](char const* k) { return architecture + '.' + k; };
    if (auto const scaling = file.text(key("rope.scaling.type"), "none"); scaling != "none")
      file.fail("it scales its rotary positions ('" + scaling + "'), which this program does not");
    if (file.has(key("expert_count"))) file.fail("it is a mixture of experts");
    width_ = file.integer(key("embedding_length"));
    context_ = file.integer(key("context_length"));
    heads_ = file.integer(key("attention.head_count"));
    kv_heads_ = file.integer(key("attention.head_count_kv"), heads_);
    d_ = file.integer(key("attention.key_length"), width_ / heads_);
    epsilon_ = float(file.real(key("attention.layer_norm_rms_epsilon"), 1e-5));
    pairs_ = architecture == "llama" ? rope_pairs::neighbours : rope_pairs::halves;

    auto const turning = file.integer(key("rope.dimension_count"), d_);
    auto const base = file.real(key("rope.freq_base"), 10000.0);
    for (std::int64_t i = 0; i < turning / 2; ++i)
      frequencies_.push_back(std::pow(base, -2.0 * double(i) / double(turning)));
    if (file.has_tensor("rope_freqs.weight")) {  // Llama 3.1 and later
      auto const factors = read_tensor(file, "rope_freqs.weight", turning / 2);
      for (std::size_t i = 0; i < factors.size(); ++i) frequencies_[i] /= double(factors[i]);
    }

    auto const hidden = file.integer(key("feed_forward_length"));
    auto const& extents = file.tensor("token_embd.weight").extents;
    auto const vocabulary = extents.size() == 2 ? extents[1] : 0;
    embedding_ = read_matrix(file, "token_embd", vocabulary, width_);
    if (file.has_tensor("output.weight")) head_ = read_matrix(file, "output", vocabulary, width_);
    final_norm_ = read_tensor(file, "output_norm.weight", width_);
    layers_.resize(std::size_t(file.integer(key("block_count"))));
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      auto const prefix = "blk." + std::to_string(i) + '.';
      auto const read = [&](char const* n, std::int64_t outputs, std::int64_t inputs) {
        return read_matrix(file, prefix + n, outputs, inputs);
      };
      layers_[i] = {.attention_norm = read_tensor(file, prefix + "attn_norm.weight", width_),
                    .ffn_norm = read_tensor(file, prefix + "ffn_norm.weight", width_),
                    .q = read("attn_q", heads_ * d_, width_),
                    .k = read("attn_k", kv_heads_ * d_, width_),
                    .v = read("attn_v", kv_heads_ * d_, width_),
                    .output = read("attn_output", width_, heads_ * d_),
                    .gate = read("ffn_gate", hidden, width_),
                    .up = read("ffn_up", hidden, width_),
                    .down = read("ffn_down", width_, hidden)};
    }
  }

  std::int64_t context() const { return context_; }
  std::int64_t vocabulary() const { return embedding_.outputs; }
  std::int64_t layers() const { return std::int64_t(layers_.size()); }
  std::int64_t heads() const { return heads_; }
  std::int64_t kv_heads() const { return kv_heads_; }
  std::int64_t d() const { return d_; }

  /// Every token's final, normalised state. `attend(layer)` turns a layer's q, k and v in
  /// `buffers` into its output. All rows go through a layer together: a row only needs the keys of
  /// the rows before it, of that same layer, so prefilled and decoded rows get the numbers that
  /// they would get one after the other.
  template <class Attend>
  std::vector<float> forward(std::vector<int> const& tokens, layer_attention& buffers,
                             Attend const& attend) const {
    auto const count = std::int64_t(tokens.size());
    rotary const positions(frequencies_, pairs_, count);
    std::vector<float> states(std::size_t(count * width_));
    float* const x = states.data();
    for (std::int64_t t = 0; t < count; ++t)
      std::copy_n(embedding_.data.data() + tokens[std::size_t(t)] * width_, width_, x + t * width_);
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      layer const& w = layers_[l];
      in_chunks("prefill: q, k, v", count, chunk, [&](std::int64_t begin, std::int64_t rows) {
        std::vector<float> normed(std::size_t(rows * width_));
        rms_norm(x + begin * width_, rows, w.attention_norm, epsilon_, normed.data());
        float* const q = buffers.q().data() + begin * w.q.outputs;
        float* const k = buffers.k().data() + begin * w.k.outputs;
        apply(w.q, normed.data(), rows, q);
        apply(w.k, normed.data(), rows, k);
        apply(w.v, normed.data(), rows, buffers.v().data() + begin * w.v.outputs);
        positions.turn(q, begin, rows, heads_, d_);
        positions.turn(k, begin, rows, kv_heads_, d_);
      });
      buffers.upload();
      attend(std::int64_t(l));
      buffers.download();
      in_chunks("prefill: feed forward", count, chunk, [&](std::int64_t begin, std::int64_t rows) {
        std::vector<float> normed(std::size_t(rows * width_));
        std::vector<float> gate(std::size_t(rows * w.gate.outputs)), up(gate.size());
        float* const state = x + begin * width_;
        apply(w.output, buffers.out().data() + begin * w.output.inputs, rows, state, 1);
        rms_norm(state, rows, w.ffn_norm, epsilon_, normed.data());
        apply(w.gate, normed.data(), rows, gate.data());
        apply(w.up, normed.data(), rows, up.data());
        swiglu(gate.data(), up.data(), std::int64_t(gate.size()));
        apply(w.down, gate.data(), rows, state, 1);
      });
    }
    rms_norm(x, count, final_norm_, epsilon_, x);
    return states;
  }

  /// The logits (rows, vocabulary) of `rows` final states.
  void logits(float const* states, std::int64_t rows, float* out) const {
    apply(head_.data.empty() ? embedding_ : head_, states, rows, out);
  }
  std::int64_t width() const { return width_; }

 private:
  static constexpr std::int64_t chunk = 128;  // rows whose intermediate states stay in the caches

  struct layer {
    std::vector<float> attention_norm, ffn_norm;
    matrix q, k, v, output, gate, up, down;
  };

  std::int64_t width_ = 0, context_ = 0, heads_ = 0, kv_heads_ = 0, d_ = 0;
  float epsilon_ = 0;
  rope_pairs pairs_ = rope_pairs::neighbours;
  std::vector<double> frequencies_;
  matrix embedding_, head_;
  std::vector<float> final_norm_;
  std::vector<layer> layers_;
};

}  // namespace prefill
