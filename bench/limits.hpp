// The machine's limits: measured between the samples of every case, and as benchmarks of their own.
#pragma once
#include <vector>

#include "interleaved.hpp"

namespace bench {

/// The FMA peak, for a case that computes `flops` a call.
std::vector<limit> arithmetic_limits(double flops);

/// Copy and read bandwidth, for a case that must move `bytes` a call.
std::vector<limit> memory_limits(double bytes);

/// machine/fma_peak, machine/copy, machine/read.
void register_machine();

}  // namespace bench
