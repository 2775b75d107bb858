// AMD's matrix instructions on emulated lanes.
#pragma once

#include <delta_attention/arch/mfma.hpp>

#include "../emulation/amd_lane.hpp"

namespace emulated {

/// The shapes that GPUs run.
using production = delta_attention::arch::mfma_on<emulation::amd_lane>;

template <class Element, delta_attention::arch::mfma_shape Shape>
using tile = delta_attention::arch::mfma_tile<Element, Shape, emulation::amd_lane>;
template <class Element>
using small_tile = tile<Element, delta_attention::arch::mfma_shape{256, 2, 32, 32}>;
template <class Element>
using small_stream = tile<Element, delta_attention::arch::mfma_shape{256, 1, 16, 32}>;

}  // namespace emulated
