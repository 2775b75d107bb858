// NVIDIA's mma.sync on emulated lanes.
#pragma once

#include <delta_attention/arch/mma_sync.hpp>

#include "../emulation/cuda_lane.hpp"

namespace emulated {

/// The shapes that GPUs run.
using production = delta_attention::arch::mma_sync_on<emulation::cuda_lane>;

template <class Element, delta_attention::arch::mma_shape Shape>
using tile = delta_attention::arch::mma_sync_tile<Element, Shape, emulation::cuda_lane>;
template <class Element>
using small_tile = tile<Element, delta_attention::arch::mma_shape{256, 2, 1, 64, 32}>;
template <class Element>
using small_stream = tile<Element, delta_attention::arch::mma_shape{256, 1, 1, 32, 32}>;

}  // namespace emulated
