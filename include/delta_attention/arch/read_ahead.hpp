#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/arch/unroll.hpp>

namespace delta_attention::arch {

/// use(i, read(i)) for all i < Count, with `Ahead` reads on their way meanwhile. (Compilers, after
/// fewer registers than a lane has, would put them off.)
template <int Count, int Ahead, class Lane, class Read, class Use>
KOKKOS_INLINE_FUNCTION void read_ahead(const Lane& lane, const Read& read, const Use& use) {
  decltype(read(0)) next[Ahead] = {};
  DELTA_ATTENTION_UNROLL
  for (int i = 0; i < Count + Ahead; ++i) {
    const auto now = next[i % Ahead];
    if (i < Count) next[i % Ahead] = read(i);
    lane.phase();
    if (i >= Ahead) use(i - Ahead, now);
  }
}

}  // namespace delta_attention::arch
