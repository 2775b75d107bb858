#pragma once

#include <delta_attention/arch/words.hpp>
#include <delta_attention/tensor/element.hpp>

#include <cstddef>
#include <cstdint>
#include <type_traits>

// Before sm_80 there is no cp.async, nor this matrix instruction.
#if defined(KOKKOS_ENABLE_CUDA) && defined(__CUDACC__) && !defined(KOKKOS_ARCH_VOLTA) && \
    !defined(KOKKOS_ARCH_TURING75)
#define DELTA_ATTENTION_HAS_MMA_SYNC 1

namespace delta_attention::arch {

/// What one lane of an NVIDIA warp can do, from sm_80 on (PTX ISA 9.7). A place in shared memory is
/// a byte address; the team's own begins at origin(). tests/emulation has the same operations on
/// the host.
class cuda_lane {
 public:
  static constexpr int lanes = 32, alignment = 1024;
  /// Shared memory of a multiprocessor in bytes, as far as teams may have it.
#if defined(KOKKOS_ARCH_HOPPER90) || defined(KOKKOS_ARCH_BLACKWELL100)
  static constexpr int shared_memory = 227 << 10;
#elif defined(KOKKOS_ARCH_AMPERE80) || defined(KOKKOS_ARCH_AMPERE87)
  static constexpr int shared_memory = 163 << 10;
#else
  static constexpr int shared_memory = 99 << 10;
#endif

  template <class Team>
  __device__ cuda_lane(const Team& team, std::size_t shared_bytes)
      : thread_(team.team_rank()),
        origin_(static_cast<int>(__cvta_generic_to_shared(
            team.team_scratch(0).get_shmem_aligned(static_cast<int>(shared_bytes), alignment)))) {}

  __device__ int thread() const { return thread_; }
  __device__ int lane() const { return thread_ % lanes; }
  __device__ int warp() const { return thread_ / lanes; }
  __device__ int origin() const { return origin_; }
  __device__ void barrier() const { __syncthreads(); }
  /// Nothing moves across it (AMD). Here the assembler orders instructions as it likes.
  __device__ void phase() const {}

  template <class T> __device__ T shared_load(int at) const {
    return *static_cast<const T*>(__cvta_shared_to_generic(at));
  }
  template <class T> __device__ void shared_store(int at, const T& x) const {
    *static_cast<T*>(__cvta_shared_to_generic(at)) = x;
  }
  /// Keeps x, which all lanes of a warp have, once for all of them.
  template <class T> __device__ const T& keep(int at, const T& x) const {
    T* kept = static_cast<T*>(__cvta_shared_to_generic(at));
    __syncwarp();
    if (lane() == 0) *kept = x;
    __syncwarp();
    return *kept;
  }
  template <class T> __device__ T load(const T* p) const { return *p; }

  /// 16 bytes, both sides aligned to as many; zeros where `exists` is false.
  __device__ void copy_async(int at, const void* from, bool exists) const {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(at), "l"(from),
                 "r"(exists ? 16 : 0)
                 : "memory");
  }
  __device__ void commit_copies() const { asm volatile("cp.async.commit_group;" ::: "memory"); }
  template <int Pending> __device__ void wait_copies() const {
    asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
  }

  /// Four 8 x 8 matrices: lanes 8 i .. 8 i + 7 give the places of the rows of the i-th.
  __device__ words4 load_matrices(int at, bool transposed) const {
    words4 r;
    if (transposed)
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(r.v[0]), "=r"(r.v[1]), "=r"(r.v[2]), "=r"(r.v[3])
                   : "r"(at)
                   : "memory");
    else
      asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                   : "=r"(r.v[0]), "=r"(r.v[1]), "=r"(r.v[2]), "=r"(r.v[3])
                   : "r"(at)
                   : "memory");
    return r;
  }
  /// d += a b: 16 x 8 += 16 x 16 times 16 x 8.
  template <class Element>
  __device__ void mma(float (&d)[4], const words4& a, std::uint32_t b0, std::uint32_t b1) const {
    if constexpr (std::is_same_v<Element, bfloat16>)
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
          "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
          : "r"(a.v[0]), "r"(a.v[1]), "r"(a.v[2]), "r"(a.v[3]), "r"(b0), "r"(b1));
    else
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
          "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
          : "r"(a.v[0]), "r"(a.v[1]), "r"(a.v[2]), "r"(a.v[3]), "r"(b0), "r"(b1));
  }
  __device__ float shuffle_xor(float x, int mask) const { return __shfl_xor_sync(~0u, x, mask); }
  __device__ std::uint32_t shuffle(std::uint32_t x, int from) const {
    return __shfl_sync(~0u, x, from);
  }
  /// x, which all lanes of a warp have; the compiler then keeps it in one register for all.
  __device__ int uniform(int x) const { return __shfl_sync(~0u, x, 0); }
  __device__ bool any(bool x) const { return __any_sync(~0u, x); }
  /// The same of all lanes of the team, which is a barrier, too.
  __device__ bool any_of_team(bool x) const { return __syncthreads_or(x) != 0; }
  __device__ std::uint32_t ballot(bool x) const { return __ballot_sync(~0u, x); }

  static __device__ std::int32_t largest(std::int32_t a, std::int32_t b, std::int32_t c) {
    return __vimax3_s32(a, b, c);  // from sm_90 on a single instruction
  }
  static __device__ float exp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
  }
  /// Two elements, each rounded to nearest even; `low` is the first.
  template <class Element> static __device__ std::uint32_t pack(float low, float high) {
    std::uint32_t r;
    if constexpr (std::is_same_v<Element, bfloat16>)
      asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    else
      asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
    return r;
  }

 private:
  int thread_, origin_;
};

}  // namespace delta_attention::arch
#endif
