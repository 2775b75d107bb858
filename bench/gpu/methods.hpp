// What is timed on a GPU. One source file a method, since each compiles for a while.
#pragma once
#include <Kokkos_Core.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <delta_attention/tensor/element.hpp>
#include <functional>
#include <string>

#include "runtime.hpp"

namespace bench {

namespace da = delta_attention;
using memory = Kokkos::View<std::byte*, execution_space>;  // a call's workspace
using tensor4 = Kokkos::View<da::bfloat16****, Kokkos::LayoutRight, execution_space>;

struct tensors {
  execution_space exec;
  tensor4 q, k, v, out;  // (1, token, head, channel)
};

/// A call with all that it needs; it is enqueued, not waited for.
struct prepared {
  std::function<void()> call;
  std::function<double()> rms;  // of what the call wrote
};

prepared dense(const tensors& t);
prepared dense_mma_sync(const tensors& t);  // NVIDIA: the family that GPUs before Hopper get
prepared products(const tensors& t);        // Hopper: dense's matrix products and nothing else
prepared sink_window(const tensors& t);     // 1024 sinks, a window of 2048
prepared anchors(const tensors& t);         // the dense rows of delta alone, stride 64
prepared delta(const tensors& t);           // over sink_window, stride 64
prepared delta_averaged(const tensors& t);  // over sink_window, stride 256, average 16

/// The library's own words on the path of a dense call.
std::string describe_dense(const tensors& t);

inline constexpr std::int64_t sinks = 1024, window = 2048, stride = 64;

/// Root mean square; NaN where an element is one.
template <class T> double rms_of(const execution_space& exec, const T* data, std::int64_t count) {
  double sum = 0;
  Kokkos::parallel_reduce(
      "bench::rms",
      Kokkos::RangePolicy<execution_space, Kokkos::IndexType<std::int64_t>>(exec, 0, count),
      KOKKOS_LAMBDA(std::int64_t i, double& s) {
        const double x = static_cast<float>(data[i]);
        s += x * x;
      },
      sum);
  return std::sqrt(sum / static_cast<double>(count));
}

inline prepared to_output(const tensors& t, std::function<void()> call) {
  return {std::move(call), [t] { return rms_of(t.exec, t.out.data(), t.out.size()); }};
}

}  // namespace bench
