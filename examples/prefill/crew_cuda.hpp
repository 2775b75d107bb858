// The crew on an NVIDIA GPU: one worker that takes all rows at once, by kernels and cuBLAS on the
// stream of Kokkos' execution space. Weights and states live in the GPU's memory; nothing here
// waits for the host, except for more memory.
#pragma once

#include <cublas_v2.h>

#include <Kokkos_Core.hpp>
#include <Kokkos_Profiling_ScopedRegion.hpp>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include <delta_attention/delta_attention.hpp>

namespace prefill {

using crew_space = Kokkos::DefaultExecutionSpace;
static_assert(std::is_same_v<crew_space, Kokkos::Cuda>,
              "Kokkos has CUDA, but another space is its default: this program needs one of them");

/// What q, k, v and the output of attention are stored in: only elements of 16 bits reach the
/// tensor cores. Of the two kinds, float16 has 3 bits of fraction more than bfloat16; bfloat16's
/// larger exponents are of no use here, since a trained model's q, k and v are far below 65504.
using tensor_element = delta_attention::float16;

/// The 32 lanes of a warp.
template <class Member>
struct warp_lanes {
  Member const& member;

  template <class Body>
  KOKKOS_FUNCTION void each(std::int64_t count, Body const& body) const {
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(member, count), body);
  }
  template <class Value>
  KOKKOS_FUNCTION auto sum(std::int64_t count, Value const& value) const {
    using number = decltype(value(count));
    number total = 0;
    Kokkos::parallel_reduce(Kokkos::ThreadVectorRange(member, count),
                            [&](std::int64_t i, number& partial) { partial += value(i); }, total);
    return total;
  }
  template <class Value>
  KOKKOS_FUNCTION auto max(std::int64_t count, Value const& value) const {
    using number = decltype(value(count));
    number most{};
    Kokkos::parallel_reduce(
        Kokkos::ThreadVectorRange(member, count),
        [&](std::int64_t i, number& partial) { partial = Kokkos::max(partial, value(i)); },
        Kokkos::Max<number>(most));
    return most;
  }
};

/// what(lanes, i) for every i below `count`, a warp each. (A functor: nvcc takes no device lambda
/// inside a generic one.)
template <class What>
struct by_warps {
  static constexpr int warps = 8;  // a team
  What what;
  std::int64_t count;

  template <class Member>
  KOKKOS_FUNCTION void operator()(Member const& member) const {
    auto const i = std::int64_t(member.league_rank()) * warps + member.team_rank();
    if (i < count) what(warp_lanes<Member>{member}, i);
  }
  void launch(crew_space const& exec) const {
    Kokkos::TeamPolicy<crew_space> const policy(exec, int((count + warps - 1) / warps), warps, 32);
    Kokkos::parallel_for(What::label, policy, *this);
  }
};

inline void require_cublas(cublasStatus_t status, char const* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string("cuBLAS failed in ") + what + ": " +
                             cublasGetStatusString(status));
}

/// Memory between operations: it outlives a worker, so that a layer finds what the last one used.
using memory_pool = std::vector<Kokkos::View<float*, crew_space>>;

class worker {
 public:
  worker(crew_space const& exec, cublasHandle_t handle, memory_pool& pool, std::int64_t rows)
      : exec_(exec), handle_(handle), pool_(pool), rows_(rows) {}

  std::int64_t begin() const { return 0; }
  std::int64_t rows() const { return rows_; }

  float* take(std::int64_t a_row) {
    auto const count = std::size_t(rows_ * a_row);
    if (next_ == pool_.size()) pool_.emplace_back();
    auto& memory = pool_[next_++];
    if (memory.size() < count) {
      memory = {};  // before its successor is made: there may not be room for both
      memory = memory_pool::value_type(
          Kokkos::view_alloc(exec_, Kokkos::WithoutInitializing, "prefill: between operations"),
          count);
    }
    return memory.data();
  }

  static constexpr char const* product_name = "cublasSgemm";
  static constexpr char const* product_advice = "Is this cuBLAS made for this GPU?";

  /// y (rows, outputs) = accumulate * y + x (rows, inputs) W^T; W has a row for each output. cuBLAS
  /// counts by columns: to it, y is (outputs, rows).
  void product(float const* w, std::int64_t outputs, std::int64_t inputs, float const* x, float* y,
               float accumulate) {
    auto const m = int(outputs), n = int(rows_), k = int(inputs);
    float const one = 1;
    require_cublas(cublasSgemm(handle_, CUBLAS_OP_T, CUBLAS_OP_N, m, n, k, &one, w, k, x, k,
                               &accumulate, y, m),
                   product_name);
  }

  template <class What>
  void each(What const& what, std::int64_t parts = 1) {
    static_assert(std::is_trivially_copyable_v<What>);
    by_warps<What>{what, rows_ * parts}.launch(exec_);
  }

 private:
  crew_space const& exec_;
  cublasHandle_t handle_;
  memory_pool& pool_;
  std::size_t next_ = 0;
  std::int64_t rows_;
};

class crew {
 public:
  crew() {
    require_cublas(cublasCreate(&handle_), "cublasCreate");
    require_cublas(cublasSetStream(handle_, exec_.cuda_stream()), "cublasSetStream");
  }
  crew(crew const&) = delete;
  crew& operator=(crew const&) = delete;
  ~crew() { cublasDestroy(handle_); }

  std::string description() const {
    return std::string("cuBLAS on ") + exec_.cuda_device_prop().name + ", float";
  }

  /// All rows are one part, however small the chunks that a host would take.
  template <class Body>
  void share(char const* label, std::int64_t count, std::int64_t, Body const& body) {
    Kokkos::Profiling::ScopedRegion const region(label);
    worker work(exec_, handle_, pool_, count);
    body(work);
  }

 private:
  crew_space exec_;
  cublasHandle_t handle_ = nullptr;
  memory_pool pool_;
};

}  // namespace prefill
