// The limit that Hopper's rows are compared with: the matrix products of dense causal attention and
// nothing else, on operands that are in shared memory and registers already. What the chip's power
// leaves of its peak shows here.
#include <cstdint>
#include <delta_attention/attention.hpp>

#include "methods.hpp"

namespace bench {

#if defined(DELTA_ATTENTION_HAS_WGMMA)
namespace {

using da::arch::hopper_lane, da::arch::words4;

/// Every round, each of the warpgroups (as many as wgmma_tile has) multiplies 64 rows with 128 keys
/// and their weights with 128 values. Queries and two stages of keys and values are the first
/// numbers of a tensor.
template <int D> struct products_alone {
  static constexpr int groups = da::arch::wgmma_tile<da::bfloat16, D>::groups,
                       threads = groups * hopper_lane::group_threads, half_bytes = 128 * 128,
                       matrix_bytes = D / 64 * half_bytes,  // of 128 keys or values
      queries = 4 * matrix_bytes, bytes = queries + D / 64 * groups * 64 * 128;
  static_assert(D == 64 || groups == 2);  // halves of queries are as far apart as those of keys
  const da::bfloat16* numbers;
  float* sums;  // of each thread
  std::int64_t rounds;

  template <class Member> __device__ void operator()(const Member& team) const {
    const hopper_lane lane(team, bytes);
    const auto* words = reinterpret_cast<const words4*>(numbers);
    for (int i = lane.thread(); i < bytes / 16; i += threads)
      lane.shared_store(lane.origin() + 16 * i, words[i]);
    words4 weights[8];
    for (int k = 0; k < 8; ++k)
      for (int w = 0; w < 4; ++w) {
        const da::bfloat16* x = numbers + 2 * (lane.thread() * 32 + k * 4 + w);
        const auto weight = [](float score) { return hopper_lane::exp2(-4 * Kokkos::fabs(score)); };
        weights[k].v[w] = hopper_lane::pack<da::bfloat16>(weight(x[0]), weight(x[1]));
      }
    float scores[16][4] = {}, output[D / 8][4] = {};
    lane.publish();
    lane.barrier();

    const auto matrix = [&](int at, int half = 16) {
      return da::arch::matrix_descriptor(
          lane.uniform(da::arch::matrix_place(lane.origin() + at, half)), 0);
    };
    const std::uint64_t rows = matrix(queries + lane.group() * 64 * 128);
    for (std::int64_t r = 0; r < rounds; ++r) {
      const int stage = int(r % 2) * matrix_bytes;
      const std::uint64_t keys = matrix(stage),
                          values = matrix(2 * matrix_bytes + stage, half_bytes);
      lane.settle(scores);
      lane.settle(output);
      lane.begin_products();
      DELTA_ATTENTION_UNROLL
      for (int c = 0; c < D / 16; ++c) {
        const int piece = (c / 4 * half_bytes + c % 4 * 32) >> 4;
        // The assembler leaves out products that others always replace.
        da::arch::shared_product<da::bfloat16>(scores, rows + piece, keys + piece,
                                               c > 0 || r % 64 != 0);
      }
      lane.commit_products();
      DELTA_ATTENTION_UNROLL
      for (int k = 0; k < 8; ++k)
        da::arch::held_product<da::bfloat16, D>(output, weights[k], values + (k * 2048 >> 4), true);
      lane.commit_products();
      lane.template wait_products<0>();
    }
    float sum = 0;
    for (const auto& x : scores)
      for (const float y : x) sum += y;
    for (const auto& x : output)
      for (const float y : x) sum += y;
    sums[team.league_rank() * threads + lane.thread()] = sum;
  }
};

template <int D> prepared products_of(const tensors& t) {
  using functor = products_alone<D>;
  const int teams = da::arch::multiprocessors(t.exec);
  const Kokkos::View<float*, execution_space> sums("bench::sums", teams * functor::threads);
  const std::int64_t n = t.k.extent_int(1), heads = t.q.extent_int(2),
                     a_round = std::int64_t(64) * 128 * functor::groups * teams;
  const functor f{t.k.data(), sums.data(), (heads * (n * (n + 1) / 2) - 1) / a_round + 1};
  return {[t, f, teams] {
            Kokkos::TeamPolicy<execution_space, Kokkos::LaunchBounds<functor::threads, 1>> policy(
                t.exec, teams, functor::threads, 1);
            policy.set_scratch_size(0, Kokkos::PerTeam(functor::bytes + hopper_lane::alignment));
            const da::kernel::whole_team_scratch<functor, decltype(policy)> while_launching(t.exec);
            Kokkos::parallel_for("bench::products", policy, f);
          },
          [t, sums] { return rms_of(t.exec, sums.data(), sums.size()); }};
}

}  // namespace

prepared products(const tensors& t) {
  return t.k.extent(3) > 64 ? products_of<128>(t) : products_of<64>(t);
}
#endif

}  // namespace bench
