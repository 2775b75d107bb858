// Who takes rows through the model: `crew.share(label, count, chunk, body)` calls body(worker) for
// parts of the rows [0, count), and a worker carries out what is to be done with its part:
//   begin(), rows()     which part
//   take(n)             room for n floats a row, its own until the part is done
//   product(...)        a linear layer's matrix product
//   each(what, parts)   what(lanes, i) for every i below rows() * parts, side by side
// `what` is a functor written once over its lanes, which have each, sum and max over some elements:
// one lane on a host, 32 on a GPU. Which crew there is, is decided here alone.
#pragma once

#include <Kokkos_Core.hpp>

#if defined(KOKKOS_ENABLE_CUDA)
#include "crew_cuda.hpp"
#else
#include "crew_host.hpp"
#endif
