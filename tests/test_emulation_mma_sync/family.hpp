// The mma_sync family on emulated lanes, and what a call of it comes to.
#pragma once

// On the host loops may stay loops: unrolled, with a lane's checks inlined in them, they take
// minutes to compile.
#include <delta_attention/arch/unroll.hpp>
#undef DELTA_ATTENTION_UNROLL
#define DELTA_ATTENTION_UNROLL

#include <delta_attention/arch/mma_sync.hpp>

#include "../emulation/atom.hpp"
#include "../emulation/cuda_lane.hpp"
#include "../sweep.hpp"

namespace emulated_mma {

/// The shapes that GPUs run.
using production = da::arch::mma_sync_on<emulation::cuda_lane>;

/// Two warps and short tiles: many tiles in small problems.
struct small {
  static std::string description() { return "small mma_sync"; }
  static constexpr bool rounds_weights = true;
  template <class, class, class Element, class F>
  static void with_tile(const da::kernel::problem<Element>&, const F& f) {
    f(tile<Element, 2>{});
  }
  template <class, class Element, class F>
  static void with_stream(const da::kernel::problem<Element>&, const F& f) {
    f(tile<Element, 1>{});
  }

 private:
  template <class Element, int Warps>
  using tile =
      std::type_identity<da::arch::mma_sync_tile<Element, da::arch::mma_shape{256, Warps, 1, 32},
                                                 emulation::cuda_lane>>;
};

template <class Element, class Shapes>
using setup_of =
    setup<Kokkos::DefaultHostExecutionSpace, Element, emulation::emulated_family<Shapes>>;

}  // namespace emulated_mma

namespace sweep {
// Each in a file of its own.
verdict run_emulated_bfloat16(drawn& x);
verdict run_emulated_float16(drawn& x);
}  // namespace sweep
