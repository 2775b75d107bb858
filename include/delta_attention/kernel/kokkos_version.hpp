#pragma once

#include <Kokkos_Core.hpp>

#include <cstddef>
#include <mutex>
#include <set>
#include <type_traits>

namespace delta_attention::kernel {

inline std::mutex scratch_limit_mutex;  // host threads may launch at the same time

/// While it lives, a kernel's teams may have as much scratch of level 0 as the hardware has. Kokkos
/// does that by itself from 5.2 on; before, its CUDA backend stops at the 48 KiB of shared memory
/// that a kernel gets without asking, by a number of its own, which is restored for the kernels of
/// others.
template <class Functor, class Policy> class whole_team_scratch {
 public:
#if defined(KOKKOS_ENABLE_CUDA) && KOKKOS_VERSION < 50200
  template <class Exec> explicit whole_team_scratch(const Exec& exec) {
    if constexpr (std::is_same_v<Exec, Kokkos::Cuda>) {
      lock_ = std::unique_lock(scratch_limit_mutex);
      int most = 0;
      KOKKOS_IMPL_CUDA_SAFE_CALL(cudaDeviceGetAttribute(
          &most, cudaDevAttrMaxSharedMemoryPerBlockOptin, exec.cuda_device()));
      // Each device has its own copy of a kernel; Kokkos looks at the attributes once.
      static std::set<int> devices;
      if (devices.insert(exec.cuda_device()).second) {
        using closure = Kokkos::Impl::ParallelFor<Functor, Policy, Kokkos::Cuda>;
        using launch = Kokkos::Impl::CudaParallelLaunchKernelFunc<
            closure, typename Policy::launch_bounds,
            Kokkos::Impl::DeduceCudaLaunchMechanism<closure>::launch_mechanism>;
        KOKKOS_IMPL_CUDA_SAFE_CALL(cudaSetDevice(exec.cuda_device()));
        cudaFuncAttributes attributes;
        KOKKOS_IMPL_CUDA_SAFE_CALL(cudaFuncGetAttributes(&attributes, launch::get_kernel_func()));
        KOKKOS_IMPL_CUDA_SAFE_CALL(cudaFuncSetAttribute(
            launch::get_kernel_func(), cudaFuncAttributeMaxDynamicSharedMemorySize,
            most - static_cast<int>(attributes.sharedSizeBytes)));
      }
      before_ = limit();
      limit() = static_cast<std::size_t>(most);
    }
  }
  ~whole_team_scratch() {
    if constexpr (std::is_same_v<typename Policy::execution_space, Kokkos::Cuda>) limit() = before_;
  }
  whole_team_scratch(const whole_team_scratch&) = delete;

 private:
  static std::size_t& limit() { return Kokkos::Impl::CudaInternal::m_deviceProp.sharedMemPerBlock; }
  std::unique_lock<std::mutex> lock_;
  std::size_t before_ = 0;
#else
  template <class Exec> explicit whole_team_scratch(const Exec&) {}
#endif
};

/// Kokkos' CUDA backend passes a functor as a constant argument of the grid from 5.2 on, which has
/// an address for the whole device. Before, what has an address there is a thread's copy.
template <class Exec>
inline constexpr bool arguments_have_addresses =
#if defined(KOKKOS_ENABLE_CUDA) && KOKKOS_VERSION < 50200
    !std::is_same_v<Exec, Kokkos::Cuda>;
#else
    true;
#endif

/// The policy of a launch that passes its functor as an argument. Before 5.2, Kokkos' CUDA backend
/// has one of more than 512 bytes go through constant memory unless the policy hints at light work:
/// the host then waits for the kernel before, and a CUDA graph does not record the functor.
template <class Policy> auto by_argument(const Policy& policy) {
  if constexpr (!arguments_have_addresses<typename Policy::execution_space>)
    return Kokkos::Experimental::require(policy,
                                         Kokkos::Experimental::WorkItemProperty::HintLightWeight);
  else
    return policy;
}

}  // namespace delta_attention::kernel
