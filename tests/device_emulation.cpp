// A GPU's kernels beside the same kernels on emulated lanes, on the same inputs: what the emulator
// says of instructions is held against the hardware. Built where Kokkos has the GPU's backend; the
// program is test_emulation_device.
#include <Kokkos_Core.hpp>
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <string>
#include <type_traits>

#include <delta_attention/arch/unroll.hpp>

#include <delta_attention/arch/mfma.hpp>
#include <delta_attention/arch/mma_sync.hpp>

// A GPU without matrix instructions of ours has nothing to compare.
#if defined(DELTA_ATTENTION_HAS_MMA_SYNC) || defined(DELTA_ATTENTION_HAS_MFMA)

#if defined(DELTA_ATTENTION_HAS_MMA_SYNC)
#include "emulated_kernels/mma_sync.hpp"
#else
#include "emulated_kernels/mfma.hpp"
#endif
#include "call.hpp"
#include "emulation/atom.hpp"

namespace {

#if defined(DELTA_ATTENTION_HAS_MMA_SYNC)
using device_family = da::arch::mma_sync;
#else
using device_family = da::arch::mfma;
#endif
using host_family = emulation::emulated_family<emulated::production>;

/// The largest difference: of lse, absolute; of outputs, in units of one rounding of the output
/// and one of half of the weights (exponentials differ in their last bits) of values around 1.
struct difference {
  double out = 0, lse = 0;
};

template <class Element, class Mask>
difference compare(const shape& s, const mask_case<Mask>& m, const oracle::parameters& options) {
  problem<Kokkos::DefaultExecutionSpace, Element> on_device(s, options, 1, layout::tokens_first);
  problem<Kokkos::DefaultHostExecutionSpace, Element> on_host(s, options, 1, layout::tokens_first);
  on_device.poison_unread(m.allows);
  on_host.poison_unread(m.allows);
  const results gpu = run_attention<device_family>(on_device, m.mask);
  emulation::the_gpu().start(1);
  const results emulated = run_attention<host_family>(on_host, m.mask);
  CHECK(emulation::the_gpu().failure == "");

  difference most;
  for (integer b = 0; b < s.batches; ++b)
    for (integer t = 0; t < s.queries; ++t)
      for (integer h = 0; h < s.query_heads; ++h) {
        const double x = gpu.lse(b, t, h, 0), y = emulated.lse(b, t, h, 0);
        if (x != y) most.lse = std::max(most.lse, std::isfinite(x - y) ? std::abs(x - y) : 1e30);
        for (integer c = 0; c < s.value_size; ++c) {
          const double p = gpu.out(b, t, h, c), q = emulated.out(b, t, h, c);
          const double unit =
              element_traits<Element>::half_ulp * (2 * std::max(std::abs(p), std::abs(q)) + 0.5);
          const double d = std::abs(p - q) / unit;
          most.out = std::max(most.out, std::isfinite(d) ? d : 1e30);
        }
      }
  return most;
}

template <class Mask>
void check(const shape& s, const mask_case<Mask>& m, const oracle::parameters& options = {}) {
  const auto both = [&](auto element) {
    using Element = decltype(element);
    const difference d = compare<Element>(s, m, options);
    INFO(element_traits<Element>::name << ", " << m.name << ", " << describe(s)
                                       << describe(options));
    CHECK(d.out <= 1);
    CHECK(d.lse <= 2e-5);
  };
  both(da::float16{});
  both(da::bfloat16{});
}

}  // namespace

TEST_CASE("emulation: the device computes the same", "[emulation][device]") {
  check({.queries = 150,
         .keys = 200,
         .query_heads = 4,
         .kv_heads = 2,
         .size = 128,
         .value_size = 128},
        cases::causal());
  check(
      {.queries = 113, .keys = 203, .query_heads = 3, .kv_heads = 1, .size = 80, .value_size = 64},
      cases::sink_window(9, 40, 1));
  check({.batches = 2, .queries = 65, .keys = 65, .size = 40, .value_size = 136}, cases::causal(),
        {.scale = -0.3, .softcap = 3});
  check({.queries = 3, .keys = 1500, .query_heads = 8, .kv_heads = 2, .size = 64, .value_size = 64},
        cases::causal());
  check(
      {.queries = 1, .keys = 700, .query_heads = 4, .kv_heads = 1, .size = 128, .value_size = 256},
      cases::causal());
}
#endif
