// A call that keeps the contract, for tests/test_contract.cpp to break in one way at a time.
#pragma once

#include <Kokkos_Core.hpp>
#include <array>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "mask_cases.hpp"
#include "problem.hpp"

namespace contracts {

using exec_space = Kokkos::DefaultExecutionSpace;
using memory_space = exec_space::memory_space;
using view4 = Kokkos::View<float****, Kokkos::LayoutStride, memory_space>;
using view3 = Kokkos::View<float***, Kokkos::LayoutStride, memory_space>;
using view1 = Kokkos::View<float*, memory_space>;
using extents4 = std::array<std::size_t, 4>;

inline view4 tensor_at(float* data, const extents4& n, std::size_t channel_stride = 1) {
  const std::size_t head = n[3] * channel_stride, token = n[2] * head, batch = n[1] * token;
  return view4(data,
               Kokkos::LayoutStride(n[0], batch, n[1], token, n[2], head, n[3], channel_stride));
}
inline view3 lse_at(float* data, std::size_t batches, std::size_t tokens, std::size_t heads) {
  return view3(data, Kokkos::LayoutStride(batches, tokens * heads, tokens, heads, heads, 1));
}

using bytes_view = Kokkos::View<std::byte*, memory_space, Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

// A call that keeps the contract; each row breaks one thing. Everything lies in one allocation.
struct call_fixture {
  static constexpr std::size_t batches = 2, queries = 20, keys = 30, heads = 4, kv_heads = 2,
                               d = 32, dv = 24, room = 1u << 16;
  Kokkos::View<float*, memory_space> memory{"memory", 10 * room};
  exec_space exec;
  view4 q = at(0, {batches, queries, heads, d}), k = at(1, {batches, keys, kv_heads, d}),
        v = at(2, {batches, keys, kv_heads, dv}), out = at(3, {batches, queries, heads, dv});
  view3 lse = lse_at(data(4), batches, queries, heads);
  view1 sink_logits = view1("sink logits", heads);
  // For merge_states.
  view4 out_a = at(5, {batches, queries, heads, dv}), out_b = at(6, {batches, queries, heads, dv});
  view3 lse_a = lse_at(data(7), batches, queries, heads),
        lse_b = lse_at(data(8), batches, queries, heads);

  float* data(std::size_t part) const { return memory.data() + part * room; }
  view4 at(std::size_t part, const extents4& n, std::size_t channel_stride = 1) const {
    return tensor_at(data(part), n, channel_stride);
  }

  template <class Mask = da::causal>
  void attention(const Mask& mask = {}, std::optional<double> scale = {}, double softcap = 0,
                 std::optional<integer> offset = {}) const {
    da::attention(exec, q, k, v, out, mask,
                  // (Named: clang drops designated members where it deduces the arguments.)
                  da::options<view3, view1>{.scale = scale,
                                            .softcap = softcap,
                                            .query_offset = offset,
                                            .lse = lse,
                                            .sink_logits = sink_logits});
  }
  void delta(const da::delta& method, std::optional<integer> offset = 0) const {
    da::delta_attention(exec, q, k, v, out, da::sink_window{.sinks = 1, .window = 2}, method,
                        da::options{.query_offset = offset, .lse = lse});
  }
  // With a workspace of so many bytes.
  void delta_in(std::size_t bytes) const {
    auto* begin = reinterpret_cast<std::byte*>(data(9));
    da::delta_attention(exec, q, k, v, out, da::sink_window{.sinks = 1, .window = 2},
                        da::delta{.stride = 4, .tail = 3},
                        da::options{.query_offset = 0, .workspace = bytes_view(begin, bytes)});
  }
  void merge() const { da::merge_states(exec, out_a, lse_a, out_b, lse_b, out, lse); }
  auto lists(integer b, integer h, integer rows, integer columns, integer query_block = 16,
             integer key_block = 16) const {
    const Kokkos::View<bool****, memory_space> visible(
        "visible", static_cast<std::size_t>(b), static_cast<std::size_t>(h),
        static_cast<std::size_t>(rows), static_cast<std::size_t>(columns));
    return da::block_lists_from_mask(exec, visible, query_block, key_block);
  }
  auto csr(std::size_t offsets, integer b, integer h, integer query_block = 16,
           integer key_block = 16) const {
    const Kokkos::View<int*, memory_space> o("offsets", offsets), i("indices", 0);
    return da::block_lists_from_csr(exec, o, i, b, h, query_block, key_block);
  }
};

struct contract {
  std::string name;
  std::vector<std::string> values;  // all in what()
  std::function<void(call_fixture&)> broken;
};

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
using f = call_fixture;

}  // namespace contracts
