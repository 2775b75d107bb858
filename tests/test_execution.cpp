// Where and how kernels run, told by Kokkos' own tools interface: every kernel on the caller's
// instance and with the library's label, and no fence beyond that instance.
#include <Kokkos_Core.hpp>
#include <catch2/catch_test_macros.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "call_delta.hpp"

namespace {

namespace tools = Kokkos::Tools::Experimental;

struct event {
  std::string kind, name;
  std::uint32_t device;
};
std::vector<event>* recorded = nullptr;

void record(const char* kind, const char* name, std::uint32_t device) {
  if (recorded != nullptr) recorded->push_back({kind, name, device});
}

// Kokkos fences everything where tools look on, and before it gives back the memory of a View.
bool of_kokkos_itself(const std::string& fence) {
  return fence.find("Tool Fence") != std::string::npos ||
         fence.find("deallocate") != std::string::npos;
}

// Callbacks while it lives.
class recorder {
 public:
  recorder() {
    recorded = &events;
    const auto nothing = [](std::uint64_t) {};
    tools::set_begin_parallel_for_callback([](const char* name, std::uint32_t device,
                                              std::uint64_t*) { record("for", name, device); });
    tools::set_begin_parallel_scan_callback([](const char* name, std::uint32_t device,
                                               std::uint64_t*) { record("scan", name, device); });
    tools::set_begin_parallel_reduce_callback(
        [](const char* name, std::uint32_t device, std::uint64_t*) {
          record("reduce", name, device);
        });
    tools::set_begin_fence_callback([](const char* name, std::uint32_t device, std::uint64_t*) {
      if (!of_kokkos_itself(name)) record("fence", name, device);
    });
    tools::set_end_parallel_for_callback(nothing);
    tools::set_end_parallel_scan_callback(nothing);
    tools::set_end_parallel_reduce_callback(nothing);
    tools::set_end_fence_callback(nothing);
  }
  ~recorder() {
    recorded = nullptr;
    tools::set_begin_parallel_for_callback(nullptr);
    tools::set_begin_parallel_scan_callback(nullptr);
    tools::set_begin_parallel_reduce_callback(nullptr);
    tools::set_begin_fence_callback(nullptr);
    tools::set_end_parallel_for_callback(nullptr);
    tools::set_end_parallel_scan_callback(nullptr);
    tools::set_end_parallel_reduce_callback(nullptr);
    tools::set_end_fence_callback(nullptr);
  }
  std::vector<event> events;
};

using exec_space = Kokkos::DefaultExecutionSpace;

// An instance that the tools can tell from the default one, where the backend has such.
exec_space other_instance() {
  return Kokkos::Experimental::partition_space(exec_space(), 1, 1)[1];
}

template <class Function>
void check(const std::string& what, const exec_space& exec, const Function& function) {
  function();  // whatever Kokkos itself sets up at a first call
  exec.fence("test: set-up is over");
  recorder tool;
  function();
  recorded = nullptr;
  const std::uint32_t expected = tools::device_id(exec);
  std::size_t kernels = 0;
  for (const event& e : tool.events) {
    CAPTURE(what, e.kind, e.name, e.device, expected);
    CHECK(e.device == expected);
    if (e.kind == "fence") {
      CHECK(e.name.find("Kokkos::fence") == std::string::npos);
    } else {
      ++kernels;
      CHECK(e.name.find("delta_attention::") != std::string::npos);
    }
  }
  CAPTURE(what);
  CHECK(kernels > 0);
  exec.fence("test: results are ready");
}

struct inputs {
  exec_space exec = other_instance();
  problem<exec_space, float> p;
  Kokkos::View<float****, Kokkos::LayoutRight, exec_space::memory_space> out_b;
  inputs(const shape& s)
      : p(s, {.sink_logits = std::vector<float>(static_cast<std::size_t>(s.query_heads), 0.5f)}, 1,
          layout::tokens_first, exec),
        out_b("out_b", s.batches, s.queries, s.query_heads, s.value_size) {
    p.upload();
  }
  auto with_statistics() const {  // types named: clang loses them here (docs/interface.md)
    return da::options<decltype(p.lse), decltype(p.sink_logits)>{.lse = p.lse,
                                                                 .sink_logits = p.sink_logits};
  }
  template <class Mask> void attention(const Mask& mask) const {
    da::attention(exec, p.q_buffer.view(), p.k_buffer.view(), p.v_buffer.view(),
                  p.out_buffer.view(), mask, with_statistics());
  }
  void delta(const da::delta& method) const {
    da::delta_attention(exec, p.q_buffer.view(), p.k_buffer.view(), p.v_buffer.view(),
                        p.out_buffer.view(), da::sink_window{.sinks = 3, .window = 9}, method,
                        with_statistics());
  }
};

const shape many{.batches = 2, .queries = 200, .keys = 200, .query_heads = 4, .kv_heads = 2};
const shape few{.queries = 1, .keys = 2001, .query_heads = 4, .kv_heads = 2};

}  // namespace

TEST_CASE("execution: attention runs on the caller's instance alone", "[execution]") {
  for (const shape& s : {many, few}) {
    const inputs in(s);
    check("attention", in.exec, [&] { in.attention(da::causal{}); });
  }
}

TEST_CASE("execution: delta_attention runs on the caller's instance alone", "[execution]") {
  const inputs in(many);
  for (const da::correction c :
       {da::correction::none, da::correction::recompute, da::correction::delta})
    check("delta", in.exec,
          [&] { in.delta({.stride = 16, .correction = c, .average = 3, .tail = 9}); });
  check("all tail", in.exec, [&] { in.delta({.stride = 16, .tail = 1000}); });
}

TEST_CASE("execution: merge_states runs on the caller's instance alone", "[execution]") {
  const inputs in(many);
  const auto out = in.p.out_buffer.view();
  const Kokkos::View<float***, exec_space::memory_space> lse("lse", 2, 200, 4);
  check("merge", in.exec,
        [&] { da::merge_states(in.exec, out, in.p.lse, in.out_b, lse, in.out_b, lse); });
}

TEST_CASE("execution: block lists are built on the caller's instance", "[execution]") {
  const exec_space exec = other_instance();
  const Kokkos::View<bool****, exec_space::memory_space> visible("visible", 1, 2, 5, 7);
  const Kokkos::View<int*, exec_space::memory_space> offsets("offsets", 11), indices("indices", 3);
  // The number of visible blocks is the size of a list: building from a mask waits, for exec.
  check("from mask", exec, [&] { da::block_lists_from_mask(exec, visible, 16, 16); });
  check("from csr", exec, [&] { da::block_lists_from_csr(exec, offsets, indices, 1, 2, 16, 16); });
}

TEST_CASE("execution: labels of the passes", "[execution]") {
  const inputs in(many);
  recorder tool;
  in.delta({.stride = 16, .tail = 9});
  recorded = nullptr;
  std::string names;
  for (const event& e : tool.events) names += e.name + ";";
  CAPTURE(names);
  CHECK(names.find("delta_attention::sparse") != std::string::npos);
  CHECK(names.find("delta_attention::anchors") != std::string::npos);
}

TEST_CASE("execution: nothing is launched where there is nothing to write", "[execution]") {
  for (const shape& s :
       {shape{.queries = 0, .keys = 30}, shape{.batches = 0, .queries = 5, .keys = 5}}) {
    const inputs in(s);
    recorder tool;
    in.attention(da::causal{});
    in.delta({.stride = 1, .tail = 0});
    recorded = nullptr;
    CHECK(tool.events.empty());
  }
}

TEST_CASE("execution: describe launches nothing", "[execution]") {
  const inputs in(many);
  recorder tool;
  const std::string line = da::describe(in.exec, in.p.q_buffer.view(), in.p.k_buffer.view(),
                                        in.p.v_buffer.view(), in.p.out_buffer.view(), da::causal{});
  recorded = nullptr;
  CHECK(tool.events.empty());
  CAPTURE(line);
  CHECK(line.find(exec_space::name()) != std::string::npos);
  CHECK(line.find("float") != std::string::npos);
  CHECK(line.find('\n') == std::string::npos);
}

#if defined(DELTA_ATTENTION_HAS_AMX)
TEST_CASE("execution: bfloat16 takes AMX where the operating system permits it", "[execution]") {
  if (!da::arch::amx_is_permitted()) SKIP("the kernel refuses the tile registers");
  using tensor =
      Kokkos::View<da::bfloat16****, Kokkos::LayoutRight, Kokkos::DefaultHostExecutionSpace>;
  const tensor q("q", 1, 64, 2, 64), k("k", 1, 64, 1, 64), v("v", 1, 64, 1, 64),
      out("out", 1, 64, 2, 64);
  const std::string line =
      da::describe(Kokkos::DefaultHostExecutionSpace(), q, k, v, out, da::causal{});
  CAPTURE(line);
  CHECK(line.find("amx") != std::string::npos);
}
#endif

TEST_CASE("execution: a broken contract launches nothing", "[execution]") {
  const inputs in(many);
  recorder tool;
  CHECK_THROWS_AS(in.attention(da::sink_window{.sinks = -1}), da::contract_error);
  CHECK_THROWS_AS(in.delta({.tail = -1}), da::contract_error);
  recorded = nullptr;
  CHECK(tool.events.empty());
}
