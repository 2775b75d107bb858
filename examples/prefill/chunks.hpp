// Rows in chunks, for the threads of the host.
#pragma once

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdint>

namespace prefill {

using host_space = Kokkos::DefaultHostExecutionSpace;

/// body(begin, rows) for chunks of up to `chunk` of `count` rows, each on one thread.
template <class Body>
void in_chunks(char const* label, std::int64_t count, std::int64_t chunk, Body const& body) {
  Kokkos::RangePolicy<host_space, Kokkos::Schedule<Kokkos::Dynamic>> const policy(
      0, (count + chunk - 1) / chunk, Kokkos::ChunkSize(1));
  Kokkos::parallel_for(label, policy, [=](std::int64_t i) {
    body(i * chunk, std::min(chunk, count - i * chunk));
  });
  host_space().fence(label);
}

}  // namespace prefill
