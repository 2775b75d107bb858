// How far a run's predictions are from the document and from the dense model's predictions.
#pragma once

#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "model.hpp"

namespace prefill {

struct score {
  double perplexity = 0;
  double divergence = 0;  // mean KL(dense || this), nats, over the full vocabulary
};

/// The loss of one row of logits, and its divergence from the dense run's row. The dense run's own
/// rows are left as log-probabilities instead, to compare with.
struct scored {
  static constexpr char const* label = "prefill: score";
  float const* logits;  // (row, word)
  float* dense;         // likewise
  int const* targets;
  double *loss, *divergence;
  std::int64_t words;
  bool is_dense;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t i) const {
    float const* const row = logits + i * words;
    float* const log_dense = dense + i * words;
    float const top = lanes.max(words, [&](std::int64_t w) { return row[w]; });
    double const sum =
        lanes.sum(words, [&](std::int64_t w) { return double(Kokkos::exp(row[w] - top)); });
    double const norm = double(top) + Kokkos::log(sum);
    auto const log_probability = [&](std::int64_t w) { return float(double(row[w]) - norm); };
    loss[i] = norm - double(row[targets[i]]);
    if (is_dense) lanes.each(words, [&](std::int64_t w) { log_dense[w] = log_probability(w); });
    else
      divergence[i] = lanes.sum(words, [&](std::int64_t w) {
        return double(Kokkos::exp(log_dense[w])) * double(log_dense[w] - log_probability(w));
      });
  }
};

class scorer {
 public:
  /// `targets`: the token that really follows each scored row.
  scorer(model const& m, std::vector<int> const& targets)
      : model_(m), targets_(upload(targets)), rows_(std::int64_t(targets.size())) {}

  /// `states`: the scored rows' final states. The first call is the dense run's.
  score of(crew& all, float const* states) {
    auto const words = model_.vocabulary();
    bool const is_dense = dense_.size() == 0;
    if (is_dense) dense_ = room_for<float>(rows_ * words);
    array<double> const loss("prefill: loss", std::size_t(rows_));
    array<double> const divergence("prefill: divergence", std::size_t(rows_));
    all.share("prefill: score", rows_, chunk, [&](worker& work) {
      auto const first = work.begin();
      float* const logits = work.take(words);
      model_.logits(work, states + first * model_.width(), logits);
      work.each(scored{logits, dense_.data() + first * words, targets_.data() + first,
                       loss.data() + first, divergence.data() + first, words, is_dense});
    });
    return {std::exp(mean(loss)), mean(divergence)};
  }

 private:
  static double mean(array<double> const& values) {
    auto const all = download(values);
    return std::accumulate(all.begin(), all.end(), 0.0) / double(all.size());
  }

  static constexpr std::int64_t chunk = 32;
  model const& model_;
  array<int> targets_;
  std::int64_t rows_;
  numbers dense_;  // the dense run's log-probabilities (row, word)
};

}  // namespace prefill
