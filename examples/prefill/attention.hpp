// One layer's attention inputs and output, and the calls of the library on them.
#pragma once

#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include <delta_attention/delta_attention.hpp>

#include "methods.hpp"

namespace prefill {

namespace da = delta_attention;

using space = Kokkos::DefaultExecutionSpace;
/// (batch = 1, token, head, d). The linear layers run on the host and use the mirrors; where the
/// execution space can read host memory, tensor and mirror are the same.
using tensor = Kokkos::View<float****, Kokkos::LayoutRight, space>;
using host_tensor = decltype(Kokkos::create_mirror_view(std::declval<tensor const&>()));
using rows_view = Kokkos::View<float****, Kokkos::LayoutRight, space,
                               Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

/// The rows [begin, end), without a copy: with one batch they are contiguous.
inline rows_view rows(tensor const& all, std::int64_t begin, std::int64_t end) {
  return rows_view(all.data() + std::size_t(begin) * all.extent(2) * all.extent(3), 1,
                   std::size_t(end - begin), all.extent(2), all.extent(3));
}

class layer_attention {
 public:
  layer_attention(std::int64_t tokens, std::int64_t heads, std::int64_t kv_heads, std::int64_t d)
      : q_("q", 1, tokens, heads, d), k_("k", 1, tokens, kv_heads, d),
        v_("v", 1, tokens, kv_heads, d), out_("out", 1, tokens, heads, d),
        other_("other", 1, tokens, heads, d), q_host_(Kokkos::create_mirror_view(q_)),
        k_host_(Kokkos::create_mirror_view(k_)), v_host_(Kokkos::create_mirror_view(v_)),
        out_host_(Kokkos::create_mirror_view(out_)),
        other_host_(Kokkos::create_mirror_view(other_)) {}

  std::int64_t tokens() const { return std::int64_t(q_.extent(1)); }
  host_tensor const& q() const { return q_host_; }
  host_tensor const& k() const { return k_host_; }
  host_tensor const& v() const { return v_host_; }
  host_tensor const& out() const { return out_host_; }

  void upload() {
    Kokkos::deep_copy(q_, q_host_);
    Kokkos::deep_copy(k_, k_host_);
    Kokkos::deep_copy(v_, v_host_);
  }
  void download() { Kokkos::deep_copy(out_host_, out_); }

  /// The first `prefill` rows by the method; the rest densely over all keys before them, as
  /// decoding would. Returns the method's seconds, the rest's not among them.
  double attend(method const& m, std::int64_t prefill) {
    auto const seconds = run(m, prefill, out_);
    if (prefill < tokens())
      da::attention(exec_, rows(q_, prefill, tokens()), rows(k_, 0, tokens()),
                    rows(v_, 0, tokens()), rows(out_, prefill, tokens()), da::causal{});
    exec_.fence("prefill: decoded rows");
    return seconds;
  }

  /// Appends |o - dense| / |dense| of every (row, head) below `prefill`, for the same q, k and v;
  /// `out` holds dense attention. Returns the seconds of the method's own run.
  double compare(method const& m, std::int64_t prefill, std::vector<float>& errors) {
    auto const seconds = run(m, prefill, other_);
    Kokkos::deep_copy(other_host_, other_);
    auto const heads = out_host_.extent(2), d = out_host_.extent(3);
    auto const first = errors.size();
    errors.resize(first + std::size_t(prefill) * heads);
    auto const dense = out_host_, sparse = other_host_;
    float* const error = errors.data() + first;
    Kokkos::parallel_for(
        "prefill: errors",
        Kokkos::RangePolicy<Kokkos::DefaultHostExecutionSpace>(0, prefill), [=](std::int64_t row) {
          for (std::size_t h = 0; h < heads; ++h) {
            double difference = 0, norm = 0;
            for (std::size_t c = 0; c < d; ++c) {
              double const x = dense(0, row, h, c), y = sparse(0, row, h, c) - x;
              difference += y * y;
              norm += x * x;
            }
            error[std::size_t(row) * heads + h] = float(std::sqrt(difference / (norm + 1e-30)));
          }
        });
    return seconds;
  }

  std::string path() const { return da::describe(exec_, q_, k_, v_, out_, da::causal{}); }

 private:
  double run(method const& m, std::int64_t prefill, tensor const& target) {
    auto const q = rows(q_, 0, prefill), k = rows(k_, 0, prefill), v = rows(v_, 0, prefill),
               out = rows(target, 0, prefill);
    auto const mask = da::sink_window{.sinks = m.sinks, .window = m.window};
    exec_.fence("prefill: before attention");
    Kokkos::Timer clock;
    switch (m.how) {
      case rule::dense: da::attention(exec_, q, k, v, out, da::causal{}); break;
      case rule::sink_window: da::attention(exec_, q, k, v, out, mask); break;
      case rule::recompute:
        da::delta_attention(exec_, q, k, v, out, mask,
                            da::delta{.stride = m.stride,
                                      .correction = da::correction::recompute,
                                      .tail = m.tail(prefill)});
        break;
      case rule::delta:
        da::delta_attention(exec_, q, k, v, out, mask,
                            da::delta{.stride = m.stride,
                                      .correction = da::correction::delta,
                                      .average = m.average,
                                      .tail = m.tail(prefill)});
        break;
    }
    exec_.fence("prefill: after attention");
    return clock.seconds();
  }

  space exec_;
  tensor q_, k_, v_, out_, other_;
  host_tensor q_host_, k_host_, v_host_, out_host_, other_host_;
};

}  // namespace prefill
