// One layer's attention inputs and output, and the calls of the library on them, whose kernels
// attention.cpp has.
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "linear.hpp"
#include "methods.hpp"

namespace prefill {

using space = Kokkos::DefaultExecutionSpace;
/// (batch = 1, token, head, d). The crew uses the mirrors; where it can work in the execution
/// space's memory, tensor and mirror are the same.
using tensor = Kokkos::View<tensor_element****, Kokkos::LayoutRight, space>;
using crew_tensor = decltype(Kokkos::create_mirror_view(crew_space::memory_space(),
                                                        std::declval<tensor const&>()));

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
  double attend(method const& m, std::int64_t prefill);

  /// Appends |o - dense| / |dense| of every (row, head) below `prefill`, for the same q, k and v;
  /// `out` holds dense attention. Returns the seconds of the method's own run.
  double compare(crew& all, method const& m, std::int64_t prefill, std::vector<float>& errors);

  std::string path() const;

 private:
  double run(method const& m, std::int64_t prefill, tensor const& target);
  template <class Call> double timed(std::size_t workspace, Call const& call);

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
