#pragma once

#include <delta_attention/arch/cuda_lane.hpp>
#include <delta_attention/arch/unroll.hpp>

// The build says that it generates code for sm_90a (cmake/hopper.cmake).
#if defined(DELTA_ATTENTION_HAS_MMA_SYNC) && defined(DELTA_ATTENTION_HAS_WGMMA)

// A translation unit's other passes see the kernels too, but have none of their instructions.
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define DELTA_ATTENTION_ON_HOPPER 1
#else
#define DELTA_ATTENTION_ON_HOPPER 0
#endif

#include <cuda.h>

namespace delta_attention::arch {

/// What a lane of Hopper can do besides (PTX ISA 9.7.13 and 9.7.15): barriers in shared memory that
/// count arrivals, named barriers of some warps, registers passed between warpgroups, and the
/// asynchronous matrix product of a warpgroup (four warps).
class hopper_lane : public cuda_lane {
 public:
  template <class Team>
  __device__ hopper_lane(const Team& team, std::size_t shared_bytes)
      : cuda_lane(team, shared_bytes) {
#if defined(__CUDA_ARCH__) && !DELTA_ATTENTION_ON_HOPPER
    Kokkos::abort("delta_attention: DELTA_ATTENTION_HAS_WGMMA is set, but this is not sm_90a code");
#endif
  }
  static constexpr int group_threads = 128;

  __device__ int group() const { return thread() / group_threads; }

  // A barrier's phase ends when its count of arrivals is complete; phases have the parities 0, 1,
  // 0, ... Waiting for the parity 1 of a new barrier returns at once.
  __device__ void make_barrier(int at, int arrivals) const {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(arrivals) : "memory");
  }
  __device__ void arrive(int at) const {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
  }
  /// Once all lanes of the warp have come, one of them arrives for it. compute-sanitizer's
  /// racecheck does not see that this orders what the others did before (docs/performance.md): for
  /// it each arrives, which takes 6 to 15 % more time at d 128.
#if defined(DELTA_ATTENTION_RACECHECK)
  static constexpr int arrivals_of_warp = lanes;
  __device__ void warp_arrives(int at) const { arrive(at); }
#else
  static constexpr int arrivals_of_warp = 1;
  __device__ void warp_arrives(int at) const {
    __syncwarp();
    if (lane() == 0) arrive(at);
  }
#endif
  /// Arrives, and lets the phase last until `bytes` more were copied.
  __device__ void arrive_expecting(int at, int bytes) const {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes)
                 : "memory");
  }
  /// The tensor memory accelerator copies the map's box from the coordinates on, which count
  /// against the barrier; zeros where the tensor ends.
  __device__ void copy_box(int to, const CUtensorMap& map, int barrier, int channel, int token,
                           int head, int batch) const {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(to),
        "l"(&map), "r"(barrier), "r"(channel), "r"(token), "r"(head), "r"(batch)
        : "memory");
  }
  /// Lets this lane's copies use a map that it wrote to global memory.
  __device__ void publish_map(const CUtensorMap& map) const {
    asm volatile(
        "fence.proxy.tensormap::generic.release.gpu;\n"
        "fence.proxy.tensormap::generic.acquire.gpu [%0], 128;" ::"l"(&map)
        : "memory");
  }
  /// Has a line of 128 bytes brought to L2.
  __device__ void prefetch(const void* from) const {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(from));
  }
  /// Has the phase ended?
  __device__ bool passed(int at, int parity) const {
    int done;
    asm volatile(
        "{\n.reg .pred p;\nmbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.b32 %0, 1, 0, p;\n}\n"
        : "=r"(done)
        : "r"(at), "r"(parity)
        : "memory");
    return done != 0;
  }
  __device__ void await(int at, int parity) const {
    int done;
    do
      asm volatile(
          "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
          "selp.b32 %0, 1, 0, p;\n}\n"
          : "=r"(done)
          : "r"(at), "r"(parity)
          : "memory");
    while (done == 0);
  }
  __device__ void named_barrier(int id, int threads) const {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
  }
  __device__ void named_arrive(int id, int threads) const {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
  }
  /// A barrier, too: is x true for one of its threads?
  __device__ bool named_any(int id, int threads, bool x) const {
    int any;
    asm volatile(
        "{\n.reg .pred p, q;\nsetp.ne.b32 p, %1, 0;\nbar.red.or.pred q, %2, %3, p;\n"
        "selp.b32 %0, 1, 0, q;\n}\n"
        : "=r"(any)
        : "r"(int(x)), "r"(id), "r"(threads)
        : "memory");
    return uniform(any) != 0;
  }
  /// x, but not before `earlier` is there.
  __device__ float after(float x, float earlier) const {
    float y;  // x ^ (earlier & 0): Kokkos' blocks have z = 0, which the assembler does not know
    asm("lop3.b32 %0, %1, %2, %3, 0x78;" : "=f"(y) : "f"(x), "f"(earlier), "r"(threadIdx.z));
    return y;
  }
  __device__ void warp_barrier() const { __syncwarp(); }

  template <int Registers> __device__ void take_registers() const {
#if DELTA_ATTENTION_ON_HOPPER
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
  }
  template <int Registers> __device__ void give_registers() const {
#if DELTA_ATTENTION_ON_HOPPER
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
#endif
  }
  /// Orders what this lane wrote to shared memory before what matrix products read of it.
  __device__ void publish() const { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
  /// Ends the thread: Kokkos' loop around a functor then keeps no registers alive.
  [[noreturn]] __device__ void leave() const {
    asm volatile("exit;");
    __builtin_unreachable();
  }

  // Products of a warpgroup: begin, any number of products, commit; they are done when at most
  // `Pending` later commits are open.
  __device__ void begin_products() const {
#if DELTA_ATTENTION_ON_HOPPER
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
  }
  __device__ void commit_products() const {
#if DELTA_ATTENTION_ON_HOPPER
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
  }
  template <int Pending> __device__ void wait_products() const {
#if DELTA_ATTENTION_ON_HOPPER
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
#endif
  }
  /// Pins registers that a product still writes: no read of them moves before this.
  template <int N> __device__ void settle(float (&x)[N][4]) const {
    DELTA_ATTENTION_UNROLL
    for (int i = 0; i < N; ++i) {
      DELTA_ATTENTION_UNROLL
      for (int e = 0; e < 4; ++e) asm volatile("" : "+f"(x[i][e])::"memory");
    }
  }
};

}  // namespace delta_attention::arch
#endif
