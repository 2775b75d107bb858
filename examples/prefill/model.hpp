// Llama and Qwen2 models: weights from a GGUF file, and one pass of all tokens through all layers.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "attention.hpp"
#include "linear.hpp"
#include "operations.hpp"

namespace prefill {

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
      auto const factors = download(read_tensor(file, "rope_freqs.weight", turning / 2));
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
  std::int64_t width() const { return width_; }

  /// Every token's final, normalised state. `attend(layer)` turns a layer's q, k and v in
  /// `buffers` into its output. All rows go through a layer together: a row only needs the keys of
  /// the rows before it, of that same layer, so prefilled and decoded rows get the numbers that
  /// they would get one after the other.
  template <class Attend>
  numbers forward(crew& all, std::vector<int> const& tokens, layer_attention& buffers,
                  Attend const& attend) const {
    auto const count = std::int64_t(tokens.size());
    rotary const positions(frequencies_, pairs_, count);
    auto const ids = upload(tokens);
    auto const states = room_for<float>(count * width_);
    auto const state = [&](worker const& work) { return states.data() + work.begin() * width_; };
    all.share("prefill: embedding", count, chunk, [&](worker& work) {
      work.each(embedded{ids.data() + work.begin(), embedding_.data.data(), width_, state(work)});
    });
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      layer const& w = layers_[l];
      all.share("prefill: q, k, v", count, chunk, [&](worker& work) {
        attention_inputs(work, w, positions, state(work), buffers);
      });
      buffers.upload();
      attend(std::int64_t(l));
      buffers.download();
      all.share("prefill: feed forward", count, chunk,
                [&](worker& work) { feed_forward(work, w, buffers, state(work)); });
    }
    all.share("prefill: final norm", count, chunk, [&](worker& work) {
      float* const x = state(work);
      work.each(rms_norm{x, final_norm_.data(), width_, epsilon_, x});
    });
    return states;
  }

  /// The logits (rows, vocabulary) of a worker's final states.
  void logits(worker& work, float const* states, float* out) const {
    apply(work, head_.outputs > 0 ? head_ : embedding_, states, out);
  }

 private:
  static constexpr std::int64_t chunk = 128;  // rows whose intermediate states stay in the caches

  struct layer {
    numbers attention_norm, ffn_norm;
    matrix q, k, v, output, gate, up, down;
  };

  void attention_inputs(worker& work, layer const& w, rotary const& positions, float const* state,
                        layer_attention const& buffers) const {
    float* const normed = work.take(width_);
    work.each(rms_norm{state, w.attention_norm.data(), width_, epsilon_, normed});
    auto const project = [&](matrix const& m, tensor_element* target) {
      float* const floats = floats_before(work, target, m.outputs);
      apply(work, m, normed, floats);
      return floats;
    };
    tensor_element* const q = buffers.q().data() + work.begin() * w.q.outputs;
    tensor_element* const k = buffers.k().data() + work.begin() * w.k.outputs;
    tensor_element* const v = buffers.v().data() + work.begin() * w.v.outputs;
    positions.turn(work, project(w.q, q), q, heads_, d_);
    positions.turn(work, project(w.k, k), k, kv_heads_, d_);
    store(work, project(w.v, v), v, w.v.outputs);
  }

  void feed_forward(worker& work, layer const& w, layer_attention const& buffers,
                    float* state) const {
    auto const inputs = w.output.inputs, hidden = w.gate.outputs;
    tensor_element const* const attended = buffers.out().data() + work.begin() * inputs;
    apply(work, w.output, load(work, attended, inputs), state, 1);
    float* const normed = work.take(width_);
    work.each(rms_norm{state, w.ffn_norm.data(), width_, epsilon_, normed});
    float *const gate = work.take(hidden), *const up = work.take(hidden);
    apply(work, w.gate, normed, gate);
    apply(work, w.up, normed, up);
    work.each(swiglu{gate, up, hidden});
    apply(work, w.down, gate, state, 1);
  }

  std::int64_t width_ = 0, context_ = 0, heads_ = 0, kv_heads_ = 0, d_ = 0;
  float epsilon_ = 0;
  rope_pairs pairs_ = rope_pairs::neighbours;
  std::vector<double> frequencies_;
  matrix embedding_, head_;
  numbers final_norm_;
  std::vector<layer> layers_;
};

}  // namespace prefill
