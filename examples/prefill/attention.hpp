// One layer's attention inputs and output, and the calls of the library on them.
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <delta_attention/delta_attention.hpp>

#include "linear.hpp"
#include "methods.hpp"

namespace prefill {

namespace da = delta_attention;

using space = Kokkos::DefaultExecutionSpace;
/// (batch = 1, token, head, d). The crew uses the mirrors; where it can work in the execution
/// space's memory, tensor and mirror are the same.
using tensor = Kokkos::View<tensor_element****, Kokkos::LayoutRight, space>;
using crew_tensor = decltype(Kokkos::create_mirror_view(crew_space::memory_space(),
                                                        std::declval<tensor const&>()));
using rows_view = Kokkos::View<tensor_element****, Kokkos::LayoutRight, space,
                               Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

/// The rows [begin, end), without a copy: with one batch they are contiguous.
inline rows_view rows(tensor const& all, std::int64_t begin, std::int64_t end) {
  return rows_view(all.data() + std::size_t(begin) * all.extent(2) * all.extent(3), 1,
                   std::size_t(end - begin), all.extent(2), all.extent(3));
}

/// |sparse - dense| / |dense| of one head of one row.
struct relative_error {
  static constexpr char const* label = "prefill: errors";
  tensor_element const *dense, *sparse;
  std::int64_t d;
  float* error;

  template <class Lanes>
  KOKKOS_FUNCTION void operator()(Lanes const& lanes, std::int64_t i) const {
    tensor_element const *const x = dense + i * d, *const y = sparse + i * d;
    double const difference = lanes.sum(d, [&](std::int64_t c) {
      double const apart = double(float(y[c])) - double(float(x[c]));
      return apart * apart;
    });
    double const norm = lanes.sum(d, [&](std::int64_t c) {
      double const value = float(x[c]);
      return value * value;
    });
    error[i] = float(Kokkos::sqrt(difference / (norm + 1e-30)));
  }
};

class layer_attention {
 public:
  layer_attention(std::int64_t tokens, std::int64_t heads, std::int64_t kv_heads, std::int64_t d)
      : q_("q", 1, tokens, heads, d), k_("k", 1, tokens, kv_heads, d),
        v_("v", 1, tokens, kv_heads, d), out_("out", 1, tokens, heads, d),
        other_("other", 1, tokens, heads, d), q_crew_(mirror(q_)), k_crew_(mirror(k_)),
        v_crew_(mirror(v_)), out_crew_(mirror(out_)), other_crew_(mirror(other_)) {}

  std::int64_t tokens() const { return std::int64_t(q_.extent(1)); }
  crew_tensor const& q() const { return q_crew_; }
  crew_tensor const& k() const { return k_crew_; }
  crew_tensor const& v() const { return v_crew_; }
  crew_tensor const& out() const { return out_crew_; }

  void upload() {
    Kokkos::deep_copy(q_, q_crew_);
    Kokkos::deep_copy(k_, k_crew_);
    Kokkos::deep_copy(v_, v_crew_);
  }
  void download() { Kokkos::deep_copy(out_crew_, out_); }

  /// q, k and v from the host, for tensors that no model made.
  void set(std::vector<float> const& q, std::vector<float> const& k, std::vector<float> const& v) {
    copy(q, q_);
    copy(k, k_);
    copy(v, v_);
  }

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
  double compare(crew& all, method const& m, std::int64_t prefill, std::vector<float>& errors) {
    auto const seconds = run(m, prefill, other_);
    Kokkos::deep_copy(other_crew_, other_);
    auto const heads = std::int64_t(out_.extent(2)), d = std::int64_t(out_.extent(3));
    auto const found = room_for<float>(prefill * heads);
    all.share("prefill: errors", prefill, 128, [&](worker& work) {
      auto const first = work.begin() * heads;
      work.each(relative_error{out_crew_.data() + first * d, other_crew_.data() + first * d, d,
                               found.data() + first}, heads);
    });
    auto const values = prefill::download(found);
    errors.insert(errors.end(), values.begin(), values.end());
    return seconds;
  }

  std::string path() const { return da::describe(exec_, q_, k_, v_, out_, da::causal{}); }

 private:
  double run(method const& m, std::int64_t prefill, tensor const& target) {
    auto const q = rows(q_, 0, prefill), k = rows(k_, 0, prefill), v = rows(v_, 0, prefill),
               out = rows(target, 0, prefill);
    auto const sparse = da::sink_window{.sinks = m.sinks, .window = m.window};
    auto const attend = [&](auto const& mask) {
      return timed(da::workspace_size(exec_, q, k, v, out, mask), [&](auto const& options) {
        da::attention(exec_, q, k, v, out, mask, options);
      });
    };
    auto const correct = [&](da::delta const& how) {
      return timed(da::workspace_size(exec_, q, k, v, out, sparse, how), [&](auto const& options) {
        da::delta_attention(exec_, q, k, v, out, sparse, how, options);
      });
    };
    switch (m.how) {
      case rule::dense: return attend(da::causal{});
      case rule::sink_window: return attend(sparse);
      case rule::recompute:
        return correct({.stride = m.stride,
                        .correction = da::correction::recompute,
                        .tail = m.tail(prefill)});
      case rule::delta: break;
    }
    return correct({.stride = m.stride,
                    .correction = da::correction::delta,
                    .average = m.average,
                    .tail = m.tail(prefill)});
  }
  /// Seconds of call(options), which gets its temporary memory before the clock starts.
  template <class Call> double timed(std::size_t workspace, Call const& call) {
    if (workspace_.size() < workspace)
      workspace_ = Kokkos::View<std::byte*, space>("prefill: workspace", workspace);
    exec_.fence("prefill: before attention");
    Kokkos::Timer clock;
    call(da::options{.workspace = workspace_});
    exec_.fence("prefill: after attention");
    return clock.seconds();
  }

  static crew_tensor mirror(tensor const& all) {
    return Kokkos::create_mirror_view(crew_space::memory_space(), all);
  }
  static void copy(std::vector<float> const& values, tensor const& to) {
    auto const host = Kokkos::create_mirror_view(to);
    std::transform(values.begin(), values.end(), host.data(),
                   [](float x) { return tensor_element(x); });
    Kokkos::deep_copy(to, host);
  }

  space exec_;
  tensor q_, k_, v_, out_, other_;
  Kokkos::View<std::byte*, space> workspace_;
  crew_tensor q_crew_, k_crew_, v_crew_, out_crew_, other_crew_;
};

}  // namespace prefill
