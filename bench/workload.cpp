#include "workload.hpp"

#include <Kokkos_Core.hpp>
#include <Kokkos_MathematicalFunctions.hpp>
#include <cmath>
#include <cstdint>
#include <delta_attention/delta_attention.hpp>
#include <optional>
#include <stdexcept>

namespace bench {

namespace da = delta_attention;
using execution_space = Kokkos::DefaultExecutionSpace;

template <class Element>
using tensor4 = Kokkos::View<Element****, Kokkos::LayoutRight, execution_space>;

KOKKOS_INLINE_FUNCTION float noise(std::uint64_t x) {  // uniform in [-1, 1)
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  x ^= x >> 31;
  return static_cast<float>(x >> 40) * 0x1p-23F - 1.0F;
}

/// Tokens that change slowly, as a model's do: channel c swings with a period of its own, from 64
/// to 16384 tokens, under some noise. A query and the keys near it are in phase, so that attention
/// is local over a broad background, and the error of a sparse method means something.
template <class Element>
void fill(const execution_space& exec, const tensor4<Element>& x, int first_token,
          std::uint64_t phase_seed, std::uint64_t noise_seed, int heads_per_phase) {
  const std::int64_t tokens = x.extent(1), heads = x.extent(2), channels = x.extent(3);
  Kokkos::parallel_for(
      "bench::fill", Kokkos::RangePolicy<execution_space>(exec, 0, tokens * heads),
      KOKKOS_LAMBDA(std::int64_t row) {
        const std::int64_t t = row / heads, h = row % heads, phases = h / heads_per_phase;
        for (std::int64_t c = 0; c < channels; ++c) {
          const float period = 64.0F * Kokkos::exp2(8.0F * static_cast<float>(c) / channels);
          const float turns = static_cast<float>(t + first_token) / period +
                              noise(phase_seed + phases * channels + c);
          const float random = noise(noise_seed + row * channels + c);
          x(0, t, h, c) = Element(Kokkos::sin(6.2831853F * turns) + 0.7F * random);
        }
      });
}

template <class Element> class workload_of : public workload {
 public:
  explicit workload_of(const case_spec& c)
      : what_(c.what),
        q_(make("q", c.queries(), c.heads, c.head_size)),
        k_(make("k", c.tokens, c.kv_heads, c.head_size)),
        v_(make("v", c.tokens, c.kv_heads, c.head_size)),
        out_(make("out", c.queries(), c.heads, c.head_size)) {
    fill(exec_, q_, static_cast<int>(c.tokens - c.queries()), 1, 1U << 30, c.heads / c.kv_heads);
    fill(exec_, k_, 0, 1, 2U << 30, 1);
    fill(exec_, v_, 0, 1000000, 3U << 30, 1);
    if (what_ == method::block_lists || what_ == method::block_lists_per_head) make_lists(c);
    exec_.fence();
  }

  void run() const override { run(what_); }
  void run_dense() const override { run(method::dense); }

  double error() const override {
    run_dense();
    const tensor4<Element> dense(
        Kokkos::view_alloc(exec_, Kokkos::WithoutInitializing, "bench::dense"), out_.extent(0),
        out_.extent(1), out_.extent(2), out_.extent(3));
    Kokkos::deep_copy(exec_, dense, out_);
    run();
    double difference = 0, norm = 0;
    const auto out = out_;
    const auto sum = [&](double& result, auto&& term) {
      Kokkos::parallel_reduce(
          "bench::error", Kokkos::RangePolicy<execution_space>(exec_, 0, out.size()), term, result);
    };
    const Element *x = out.data(), *y = dense.data();
    sum(
        difference, KOKKOS_LAMBDA(std::int64_t i, double& s) {
          const double e = double(float(x[i])) - double(float(y[i]));
          s += e * e;
        });
    sum(
        norm, KOKKOS_LAMBDA(std::int64_t i, double& s) {
          s += double(float(y[i])) * double(float(y[i]));
        });
    return std::sqrt(difference / norm);
  }

  std::string describe() const override {
    return da::describe(exec_, q_, k_, v_, out_, da::causal{});
  }

 private:
  using lists = da::block_lists<execution_space::memory_space>;

  tensor4<Element> make(const std::string& label, std::int64_t tokens, int heads,
                        std::int64_t d) const {
    return tensor4<Element>(Kokkos::view_alloc(exec_, label), 1, tokens, heads, d);
  }

  void make_lists(const case_spec& c) {
    const std::int64_t blocks = c.tokens / block;
    const int heads = what_ == method::block_lists ? 1 : c.heads;
    Kokkos::View<bool****, Kokkos::LayoutRight, execution_space> visible("bench::visible", 1, heads,
                                                                         blocks, blocks);
    const auto host = Kokkos::create_mirror_view(visible);
    for (int h = 0; h < heads; ++h)
      for (std::int64_t i = 0; i < blocks; ++i) {
        const auto row = visible_key_blocks(i, h);
        for (std::int64_t j = 0; j <= i; ++j) host(0, h, i, j) = row[j];
      }
    Kokkos::deep_copy(visible, host);
    lists_ = da::block_lists_from_mask(exec_, visible, block, block);
  }

  void run(method m) const {
    const da::sink_window sparse{.sinks = sinks, .window = window};
    switch (m) {
      case method::dense:
      case method::decode:
        da::attention(exec_, q_, k_, v_, out_, da::causal{});
        break;
      case method::sink_window:
        da::attention(exec_, q_, k_, v_, out_, sparse);
        break;
      case method::block_lists:
      case method::block_lists_per_head:
        da::attention(exec_, q_, k_, v_, out_, da::block_sparse{*lists_} & da::causal{});
        break;
      case method::delta:
        da::delta_attention(exec_, q_, k_, v_, out_, sparse, da::delta{.stride = stride});
        break;
    }
    exec_.fence();
  }

  execution_space exec_;
  method what_;
  tensor4<Element> q_, k_, v_, out_;
  std::optional<lists> lists_;
};

std::unique_ptr<const workload> make_workload(const case_spec& c) {
  if (c.element == "float") return std::make_unique<workload_of<float>>(c);
  if (c.element == "bfloat16") return std::make_unique<workload_of<da::bfloat16>>(c);
  throw std::invalid_argument("no element type: " + c.element);
}

}  // namespace bench
