// One family of a GPU on emulated lanes, and what a call of it comes to. CMake compiles these sources
// once for each: EMULATED_FAMILY is the header that names its shapes.
#pragma once

// On the host loops may stay loops: unrolled, with a lane's checks inlined in them, they take
// minutes to compile.
#include <delta_attention/arch/unroll.hpp>
#undef DELTA_ATTENTION_UNROLL
#define DELTA_ATTENTION_UNROLL

#include EMULATED_FAMILY

#include "../emulation/atom.hpp"
#include "../sweep.hpp"

namespace emulated {

/// One shape for many rows and one for few, whatever the problem.
template <template <class> class Many, template <class> class Few> struct fixed_shapes {
  static std::string description() { return "small tiles"; }
  static constexpr bool rounds_weights = true;
  template <class, class, class Element, class F>
  static void with_tile(const da::kernel::problem<Element>&, const F& f) {
    f(std::type_identity<Many<Element>>{});
  }
  template <class, class Element, class F>
  static void with_stream(const da::kernel::problem<Element>&, const F& f) {
    f(std::type_identity<Few<Element>>{});
  }
};

/// A few waves and short tiles: many tiles in small problems.
using small = fixed_shapes<small_tile, small_stream>;

template <class Element, class Shapes>
using setup_of =
    setup<Kokkos::DefaultHostExecutionSpace, Element, emulation::emulated_family<Shapes>>;

}  // namespace emulated

namespace sweep {
// Each in a file of its own.
verdict run_emulated_bfloat16(drawn& x);
verdict run_emulated_float16(drawn& x);
}  // namespace sweep
