// The model's parts against plain loops, and the counted pairs against brute force.
#include <cmath>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "methods.hpp"
#include "model.hpp"
#include "test.hpp"

namespace prefill_test {

using namespace prefill;

namespace {

/// body(rows), with the values where the crew works, and back.
template <class Body>
void on_crew(std::vector<float>& values, Body const& body) {
  auto const there = upload(values);
  body(there.data());
  values = download(there);
}

}  // namespace

void test_model() {
  crew all;
  check_blas(all);
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  auto const fill = [&](std::size_t count) {
    std::vector<float> values(count);
    for (auto& value : values) value = normal(random);
    return values;
  };

  auto const x = fill(3 * 8), weight = fill(8);
  auto y = x;
  on_crew(y, [&](float* rows) {
    auto const weights = upload(weight);
    // In two parts, as all that follow: a row's place is not that in its part.
    all.share("test", 3, 2, [&](worker& work) {
      float* const own = rows + work.begin() * 8;
      work.each(rms_norm{own, weights.data(), 8, 0.1F, own});
    });
  });
  for (int r = 0; r < 3; ++r) {
    double squares = 0;
    for (int i = 0; i < 8; ++i) squares += double(x[r * 8 + i]) * x[r * 8 + i];
    for (int i = 0; i < 8; ++i)
      check_close(y[r * 8 + i], x[r * 8 + i] / std::sqrt(squares / 8 + 0.1F) * weight[i], 1e-6,
                  "rms_norm");
  }

  // d = 6 of which 4 turn, 2 heads, 5 rows, as rotations of complex numbers.
  std::vector<double> const frequencies = {1.0, 0.1};
  for (auto const pairs : {rope_pairs::neighbours, rope_pairs::halves}) {
    auto turned = fill(5 * 2 * 6);
    auto const before = turned;
    rotary const positions(frequencies, pairs, 5);
    on_crew(turned, [&](float* rows) {
      all.share("test", 5, 2, [&](worker& work) {
        float* const own = rows + work.begin() * 2 * 6;
        positions.turn(work, own, own, 2, 6);
      });
    });
    for (int p = 0; p < 5; ++p)
      for (int h = 0; h < 2; ++h) {
        auto const at = std::size_t((p * 2 + h) * 6);
        for (int i = 0; i < 2; ++i) {
          bool const next = pairs == rope_pairs::neighbours;
          auto const a = at + std::size_t(next ? 2 * i : i), b = a + (next ? 1 : 2);
          double const angle = std::atan2(before[b], before[a]) + p * frequencies[std::size_t(i)];
          double const length = std::hypot(before[a], before[b]);
          check_close(turned[a], length * std::cos(angle), 1e-5, "rope: first of a pair");
          check_close(turned[b], length * std::sin(angle), 1e-5, "rope: second of a pair");
        }
        check(turned[at + 4] == before[at + 4] && turned[at + 5] == before[at + 5],
              "rope: the rest stays");
      }
  }

  auto gate = fill(10);
  auto const was = gate, up = fill(10);
  on_crew(gate, [&](float* rows) {
    auto const ups = upload(up);
    all.share("test", 2, 1, [&](worker& work) {
      work.each(swiglu{rows + work.begin() * 5, ups.data() + work.begin() * 5, 5});
    });
  });
  for (std::size_t i = 0; i < 10; ++i)
    check_close(gate[i], was[i] / (1 + std::exp(-double(was[i]))) * up[i], 1e-5, "swiglu");

  auto const upload_all = [](std::vector<float> const& values) { return upload(values); };
  matrix const w{2, 3, upload_all({1, 2, 3, 4, 5, 6}), upload_all({10, 20})};
  auto const in = upload_all({1, 0, -1, 2, 1, 0});
  std::vector<float> out = {1, 2, 3, 4};
  on_crew(out, [&](float* rows) {
    all.share("test", 2, 1, [&](worker& work) {
      apply(work, w, in.data() + work.begin() * 3, rows + work.begin() * 2, 1);
    });
  });
  check(out == std::vector<float>({9, 20, 17, 37}), "linear with bias, added");
}

void test_methods() {
  for (std::int64_t const tokens : {1, 63, 200, 517})
    for (auto const& m : {method{"", rule::dense}, method{"", rule::sink_window, 4, 64},
                          method{"", rule::recompute, 0, 1, 64},
                          method{"", rule::delta, 300, 40, 16},
                          method{"", rule::delta, 4, 33, 50}}) {
      auto const most = std::max<std::int64_t>(128, m.stride);
      auto const tail = m.corrected() ? tokens % m.stride + most : 0;
      std::int64_t count = 0;
      for (std::int64_t i = 0; i < tokens; ++i)
        for (std::int64_t j = 0; j <= i; ++j) {
          bool const all = m.how == rule::dense || i >= tokens - tail ||
                           (m.corrected() && i % m.stride == 0);
          count += all || j < m.sinks || j > i - m.window ? 1 : 0;
        }
      check(pairs(m, tokens) == count, "pairs of " + std::to_string(tokens) + " tokens");
    }

  method const delta{"", rule::delta, 4, 64, 64};
  auto const window = window_as_costly_as(delta, 2000);
  auto const cost = [&](std::int64_t w) { return pairs({"", rule::sink_window, 4, w}, 2000); };
  check(cost(window) >= pairs(delta, 2000) && cost(window - 1) < pairs(delta, 2000),
        "the widened window is the smallest that costs as much");
  check(table_methods({4, 64, 64, 16}, 2000).size() == 6, "the table's rows");
  check(table_methods({4, 64, 64, 1}, 2000).size() == 5, "no row for a mean of one");
  check(sweep_windows(64, 3, 9999) == std::vector<std::int64_t>({1024, 256}), "a sweep");
  check(sweep_windows(64, 5, 9999) == std::vector<std::int64_t>({1024, 256, 128, 512}),
        "a longer sweep");
  check(sweep_windows(64, 1, 9999).empty(), "no sweep");
  check(sweep_windows(64, 3, 512) == std::vector<std::int64_t>({256}), "a sweep cut short");

  // One small layer through the library: what is not compared elsewhere is that each method's
  // name reaches the call that it names.
  layer_attention layer(300, 4, 2, 16);
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  auto const fill = [&](std::size_t count) {
    std::vector<float> values(count);
    for (auto& value : values) value = normal(random);
    return values;
  };
  auto const q = fill(300 * 4 * 16), k = fill(300 * 2 * 16), v = fill(300 * 2 * 16);
  layer.set(q, k, v);
  crew all;
  layer.attend({"dense"}, 300);
  layer.download();
  auto const row_error = [&](method const& m, std::int64_t row) {
    std::vector<float> errors;
    layer.compare(all, m, 300, errors);
    return double(errors[std::size_t(row) * 4 + 1]);
  };
  // Elements of 16 bits are rounded, once or twice.
  double const same = std::is_same_v<tensor_element, float> ? 1e-5 : 2e-3;
  method const sparse{"", rule::sink_window, 2, 20}, recompute{"", rule::recompute, 2, 20, 32};
  method const corrected{"", rule::delta, 2, 20, 32};
  check_close(row_error({"", rule::sink_window, 2, 300}, 150), 0, same, "a window over everything");
  check(row_error(sparse, 128) > 0.01, "sink_window differs from dense");
  check_close(row_error(recompute, 128), 0, same, "recompute: an anchor is dense");
  check_close(row_error(recompute, 130), row_error(sparse, 130), same, "recompute: others are not");
  check_close(row_error(corrected, 128), 0, same, "delta: an anchor is dense");
  check(std::abs(row_error(corrected, 130) - row_error(sparse, 130)) > 1e-4, "delta corrects");
  check_close(row_error(corrected, 299), 0, same, "delta: the tail is dense");
}

}  // namespace prefill_test
