// The temporary memory of a call: its size is told before, a call that is given it allocates
// nothing and does the same, and a CUDA graph records and replays it.
#include <Kokkos_Core.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "call_delta.hpp"

namespace {

using exec_space = Kokkos::DefaultExecutionSpace;
using bytes_view = Kokkos::View<std::byte*, exec_space::memory_space>;

const shape many{.batches = 2,
                 .queries = 333,
                 .keys = 333,
                 .query_heads = 4,
                 .kv_heads = 2,
                 .size = 64,
                 .value_size = 64};
const shape few{.queries = 3, .keys = 3001, .query_heads = 4, .kv_heads = 2};
const da::delta method{.stride = 16, .average = 3, .tail = 9};
const da::sink_window mask{.sinks = 3, .window = 40};

// The two calls with temporary memory: f(tensors..., mask, options) of few rows, and of delta.
template <class Element, class Options>
std::size_t size_of(const problem<exec_space, Element>& p, bool delta, const Options& o) {
  const auto &q = p.q_buffer.view(), &k = p.k_buffer.view(), &v = p.v_buffer.view(),
             &out = p.out_buffer.view();
  return delta ? da::workspace_size(p.exec, q, k, v, out, mask, method, o)
               : da::workspace_size(p.exec, q, k, v, out, da::causal{}, o);
}
template <class Element, class Options>
void call(const problem<exec_space, Element>& p, bool delta, const Options& o) {
  const auto &q = p.q_buffer.view(), &k = p.k_buffer.view(), &v = p.v_buffer.view(),
             &out = p.out_buffer.view();
  if (delta)
    da::delta_attention(p.exec, q, k, v, out, mask, method, o);
  else
    da::attention(p.exec, q, k, v, out, da::causal{}, o);
}

std::vector<std::byte> copy_of(const exec_space& exec, const bytes_view& v) {
  exec.fence("test: results are ready");
  const auto host = Kokkos::create_mirror_view_and_copy(Kokkos::HostSpace{}, v);
  return {host.data(), host.data() + host.extent(0)};
}

// Allocations while it lives.
struct allocations {
  static inline std::size_t count = 0;
  allocations() {
    count = 0;
    Kokkos::Tools::Experimental::set_allocate_data_callback(
        [](Kokkos::Profiling::SpaceHandle, const char*, const void*, std::uint64_t bytes) {
          count += bytes > 0;  // (Kokkos' CUDA backend asks for 0 bytes of team scratch)
        });
  }
  ~allocations() { Kokkos::Tools::Experimental::set_allocate_data_callback(nullptr); }
};

}  // namespace

TEMPLATE_TEST_CASE("workspace: a call in it is the same call, and stays within it", "[workspace]",
                   float, da::bfloat16) {
  for (const bool delta : {false, true}) {
    CAPTURE(delta);
    problem<exec_space, TestType> p(delta ? many : few, {}, 1, layout::tokens_first);
    p.upload();
    call(p, delta, da::options{.lse = p.lse});
    p.exec.fence("test: results are ready");
    const auto out = p.out_buffer.download(), lse = p.download_lse();

    p.upload();  // poisons what was written
    const std::size_t size = size_of(p, delta, da::options{.lse = p.lse});
    REQUIRE(size > 0);
    constexpr std::size_t guard = 253;  // and it begins anywhere
    const bytes_view memory("memory", size + 2 * guard);
    Kokkos::deep_copy(memory, std::byte{0xa5});
    const bytes_view workspace = Kokkos::subview(memory, Kokkos::pair(guard, guard + size));
    const auto options = da::options{.lse = p.lse, .workspace = workspace};
    {
      const allocations counted;
      call(p, delta, options);
      CHECK(counted.count == 0);
    }
    const auto after = copy_of(p.exec, memory);
    CHECK(p.out_buffer.download().values == out.values);
    CHECK(p.download_lse().values == lse.values);
    std::size_t written = 0;
    for (std::size_t i = 0; i < after.size(); ++i)
      if (i < guard || i >= guard + size) written += after[i] != std::byte{0xa5};
    CHECK(written == 0);
  }
}

TEST_CASE("workspace: a call of many rows needs none", "[workspace]") {
  const problem<exec_space, float> p(many, {}, 1, layout::tokens_first);
  CHECK(da::workspace_size(p.exec, p.q_buffer.view(), p.k_buffer.view(), p.v_buffer.view(),
                           p.out_buffer.view(), da::causal{}) == 0);
}

#if defined(KOKKOS_ENABLE_CUDA)
TEMPLATE_TEST_CASE("workspace: a CUDA graph records a call and replays it", "[workspace]", float,
                   da::bfloat16) {
  for (const bool delta : {false, true}) {
    CAPTURE(delta);
    cudaStream_t stream;
    REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
    {
      problem<exec_space, TestType> p(delta ? many : few, {}, 1, layout::tokens_first,
                                      exec_space(stream));
      p.upload();
      const bytes_view workspace("workspace", size_of(p, delta, da::options{.lse = p.lse}));
      const auto options = da::options{.lse = p.lse, .workspace = workspace};
      call(p, delta, options);  // loads the kernels
      p.exec.fence("test: results are ready");
      const auto out = p.out_buffer.download(), lse = p.download_lse();

      cudaGraph_t graph;
      cudaGraphExec_t replay;
      REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed) == cudaSuccess);
      call(p, delta, options);
      REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
      REQUIRE(cudaGraphInstantiate(&replay, graph, 0) == cudaSuccess);
      for (int time = 0; time < 2; ++time) {
        p.upload();  // poisons what was written
        Kokkos::deep_copy(workspace, std::byte{0xff});
        REQUIRE(cudaGraphLaunch(replay, stream) == cudaSuccess);
        p.exec.fence("test: results are ready");
        CHECK(p.out_buffer.download().values == out.values);
        CHECK(p.download_lse().values == lse.values);
      }
      cudaGraphExecDestroy(replay);
      cudaGraphDestroy(graph);
    }
    REQUIRE(cudaStreamDestroy(stream) == cudaSuccess);
  }
}
#endif
