// How far a run's predictions are from the document and from the dense model's predictions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "model.hpp"

namespace prefill {

struct score {
  double perplexity = 0;
  double divergence = 0;  // mean KL(dense || this), nats, over the full vocabulary
};

class scorer {
 public:
  /// `targets`: the token that really follows each scored row.
  scorer(model const& m, std::vector<int> targets) : model_(m), targets_(std::move(targets)) {}

  /// `states`: the scored rows' final states. The first call is the dense run's.
  score of(float const* states) {
    auto const rows = std::int64_t(targets_.size()), words = model_.vocabulary();
    bool const first = dense_.empty();
    if (first) dense_.resize(std::size_t(rows * words));
    std::vector<double> loss(targets_.size(), 0.0), divergence(targets_.size(), 0.0);
    in_chunks("prefill: score", rows, chunk, [&](std::int64_t begin, std::int64_t count) {
      std::vector<float> logits(std::size_t(count * words));
      model_.logits(states + begin * model_.width(), count, logits.data());
      for (std::int64_t r = 0; r < count; ++r) {
        auto const at = std::size_t(begin + r);
        float const* const row = logits.data() + r * words;
        float* const dense = dense_.data() + std::int64_t(at) * words;
        float const top = *std::max_element(row, row + words);
        double sum = 0;
        for (std::int64_t w = 0; w < words; ++w) sum += double(std::exp(row[w] - top));
        double const norm = double(top) + std::log(sum);
        loss[at] = norm - double(row[targets_[at]]);
        for (std::int64_t w = 0; w < words; ++w) {
          auto const log_probability = float(double(row[w]) - norm);
          if (first) dense[w] = log_probability;
          else divergence[at] += double(std::exp(dense[w])) * double(dense[w] - log_probability);
        }
      }
    });
    auto const mean = [rows](std::vector<double> const& all) {
      return std::accumulate(all.begin(), all.end(), 0.0) / double(rows);
    };
    return {std::exp(mean(loss)), mean(divergence)};
  }

 private:
  static constexpr std::int64_t chunk = 32;
  model const& model_;
  std::vector<int> targets_;
  std::vector<float> dense_;  // the dense run's log-probabilities (row, word)
};

}  // namespace prefill
