// What the documentation's code fragments may use without declaring it. Compiled, never linked.
#pragma once
#include <Kokkos_Core.hpp>
#include <delta_attention/delta_attention.hpp>
#include <cstdint>
#include <iostream>
#include <vector>

namespace da = delta_attention;

extern Kokkos::DefaultExecutionSpace exec;
extern Kokkos::View<float****, Kokkos::LayoutRight> q, k, v, out, out_a, out_b;
extern Kokkos::View<float***, Kokkos::LayoutRight> lse, lse_a, lse_b;
extern Kokkos::View<float*> logits;
extern Kokkos::View<bool****, Kokkos::LayoutRight> visible;
extern Kokkos::View<std::int64_t*> offsets;
extern Kokkos::View<std::int32_t*> indices;
extern std::int64_t batch, batches, heads;
