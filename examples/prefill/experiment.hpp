// The runs: every method through the whole model, or through attention alone on random tensors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "attention.hpp"
#include "methods.hpp"
#include "model.hpp"
#include "options.hpp"
#include "progress.hpp"
#include "result.hpp"
#include "scoring.hpp"

namespace prefill {

template <class T>
double median(std::vector<T>& values) {
  auto const middle = values.begin() + std::ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return double(*middle);
}

/// Seconds of a pass, from its layers': what else the machine did meanwhile rarely meets most.
inline double all_layers(std::vector<double> seconds) {
  return double(seconds.size()) * median(seconds);
}

class experiment {
 public:
  experiment(options const& o, crew& all, std::int64_t prefill, progress& bar)
      : options_(o), all_(all), prefill_(prefill), bar_(bar),
        table_(table_methods(o.method, prefill)) {}

  std::vector<result> with_model(model const& m, std::vector<int> tokens) {
    auto const count = std::int64_t(tokens.size()) - 1;
    scorer score(m, {tokens.end() - (count - prefill_), tokens.end()});
    tokens.pop_back();
    layer_attention buffers(count, m.heads(), m.kv_heads(), m.d());
    // The table's methods take turns on each of the dense run's layers: the same inputs, and the
    // same machine, for all of them.
    std::vector<std::vector<float>> errors(table_.size());
    std::vector<std::vector<double>> seconds(table_.size());

    auto const run = [&](method const& how, bool in_table, bool compares) {
      Kokkos::Timer clock;
      double comparing = 0;
      std::vector<double> own;
      auto const label = label_of(how);
      auto const states = m.forward(all_, tokens, buffers, [&](std::int64_t layer) {
        bar_.step(label, layer, m.layers());
        own.push_back(buffers.attend(how, prefill_));
        if (!compares) return;
        Kokkos::Timer beside;
        buffers.download();
        for (std::size_t i = 1; i < table_.size(); ++i)
          seconds[i].push_back(buffers.compare(all_, table_[i], prefill_, errors[i]));
        comparing += beside.seconds();
      });
      auto const [perplexity, divergence] = score.of(all_, states.data() + prefill_ * m.width());
      auto& r = add(how, in_table, all_layers(own));
      r.perplexity = perplexity;
      r.divergence = divergence;
      bar_.run_done(label, clock.seconds());
      return clock.seconds() - comparing;
    };

    bar_.plan(int(table_.size()));
    auto const dense_run = run(table_[0], true, true);
    auto const sweep = plan_sweep(dense_run, results_[0].seconds);
    for (std::size_t i = 1; i < table_.size(); ++i) {
      run(table_[i], true, false);
      time(results_.back(), all_layers(seconds[i]));
      results_.back().error = median(errors[i]);
      std::vector<float>().swap(errors[i]);
    }
    for (auto const& window : sweep) {
      Kokkos::Timer clock;
      for (auto const& how : window) run(how, false, false);
      if (!fits(clock.seconds())) break;
    }
    return results_;
  }

  /// One layer of random tensors with what sparse attention meets in trained models: a few heavy
  /// keys anywhere that every query attends to, and a first key that is heavy but worth nothing.
  std::vector<result> with_random_tensors(std::int64_t heads, std::int64_t kv_heads,
                                          std::int64_t d) {
    layer_attention buffers(prefill_, heads, kv_heads, d);
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    auto const fill = [&](std::int64_t a_token) {
      std::vector<float> values(std::size_t(prefill_ * a_token));
      std::ranges::generate(values, [&] { return normal(random); });
      return values;
    };
    auto q = fill(heads * d), k = fill(kv_heads * d), v = fill(kv_heads * d);
    constexpr float shared = 1.5F;  // what all queries have in common, and heavy keys answer to
    for (auto& value : q) value += shared;
    for (std::int64_t t = 0; t < prefill_; ++t) {
      bool const heavy = t == 0 || random() % 200 == 0;
      for (std::int64_t c = 0; heavy && c < kv_heads * d; ++c)
        k[std::size_t(t * kv_heads * d + c)] += 0.6F;
    }
    std::fill_n(v.begin(), kv_heads * d, 0.0F);
    buffers.set(q, k, v);
    bar_.plan(int(table_.size()));
    Kokkos::Timer clock;
    add(table_[0], true, buffers.attend(table_[0], prefill_));
    buffers.download();
    auto const sweep = plan_sweep(clock.seconds(), results_[0].seconds);
    bar_.run_done(label_of(table_[0]), clock.seconds());
    auto const run = [&](method const& how, bool in_table) {
      std::vector<float> errors;
      clock.reset();
      auto& r = add(how, in_table, buffers.compare(all_, how, prefill_, errors));
      r.error = median(errors);
      bar_.run_done(label_of(how), clock.seconds());
    };
    for (std::size_t i = 1; i < table_.size(); ++i) run(table_[i], true);
    for (auto const& window : sweep)
      for (auto const& how : window) run(how, false);
    return results_;
  }

 private:
  static std::string label_of(method const& how) {
    return how.how == rule::dense ? how.name : how.name + ", window " + std::to_string(how.window);
  }

  double share(method const& how) const {
    return double(pairs(how, prefill_)) / double(pairs(table_[0], prefill_));
  }

  result& add(method const& how, bool in_table, double seconds) {
    result r{.how = how, .in_table = in_table, .percent = 100 * share(how)};
    results_.push_back(r);
    time(results_.back(), seconds);
    return results_.back();
  }
  void time(result& r, double seconds) const {
    r.seconds = seconds;
    r.speed_up = results_[0].seconds / seconds;
  }

  /// Whether work of so many seconds still ends in time. A sweep that the user asked for always is.
  bool fits(double seconds) const {
    return options_.sweep || bar_.elapsed() + seconds <= time_limit;
  }

  /// The plot's further runs, window by window: those that the user asks for, or else as many as
  /// should end in time after what the dense run took.
  std::vector<std::vector<method>> plan_sweep(double dense_run, double dense_attention) {
    auto const expected = [&](std::vector<method> const& runs) {
      double sum = 0;
      for (auto const& how : runs)
        sum += dense_run - dense_attention * (1 - std::min(1.0, 1.3 * share(how)));
      return sum;
    };
    double seconds = expected({table_.begin() + 1, table_.end()});
    auto runs = table_.size();
    std::vector<std::vector<method>> sweep;
    auto const count = options_.plot == "none" ? 1 : options_.sweep.value_or(5);
    for (auto const window : sweep_windows(options_.method.window, int(count), prefill_)) {
      std::vector<method> further;
      for (auto how : table_) {
        if (how.how == rule::dense || how.window != options_.method.window) continue;
        how.window = window;
        further.push_back(how);
      }
      if (!fits(seconds + expected(further))) break;
      seconds += expected(further);
      runs += further.size();
      sweep.push_back(std::move(further));
    }
    bar_.plan(int(runs));
    char line[128];
    std::snprintf(line, sizeof line, "the dense run took %.0f s; all %zu runs should take %.0f s",
                  dense_run, runs, bar_.elapsed() + seconds);
    bar_.say(line);
    return sweep;
  }

  static constexpr double time_limit = 240;  // seconds: building it has its part of five minutes

  options const& options_;
  crew& all_;
  std::int64_t prefill_;
  progress& bar_;
  std::vector<method> table_;
  std::vector<result> results_;
};

}  // namespace prefill
