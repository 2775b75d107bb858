#pragma once

#include <Kokkos_Core.hpp>

#include <type_traits>

namespace delta_attention::kernel {

/// Lets a kernel's teams have as much scratch of level 0 as the hardware has. Kokkos does that by
/// itself from 5.2 on; before, its CUDA backend stops at the 48 KiB of shared memory that a kernel
/// gets without asking.
template <class Functor, class Policy> void allow_team_scratch() {
#if defined(KOKKOS_ENABLE_CUDA) && KOKKOS_VERSION < 50200
  if constexpr (std::is_same_v<typename Policy::execution_space, Kokkos::Cuda>) {
    [[maybe_unused]] static const bool done = [] {
      using closure = Kokkos::Impl::ParallelFor<Functor, Policy, Kokkos::Cuda>;
      using launch = Kokkos::Impl::CudaParallelLaunchKernelFunc<
          closure, typename Policy::launch_bounds,
          Kokkos::Impl::DeduceCudaLaunchMechanism<closure>::launch_mechanism>;
      const auto kernel = launch::get_kernel_func();
      cudaFuncAttributes attributes;
      int most = 0;
      KOKKOS_IMPL_CUDA_SAFE_CALL(cudaFuncGetAttributes(&attributes, kernel));
      KOKKOS_IMPL_CUDA_SAFE_CALL(cudaDeviceGetAttribute(
          &most, cudaDevAttrMaxSharedMemoryPerBlockOptin, Kokkos::Cuda().cuda_device()));
      KOKKOS_IMPL_CUDA_SAFE_CALL(
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               most - static_cast<int>(attributes.sharedSizeBytes)));
      Kokkos::Impl::CudaInternal::m_deviceProp.sharedMemPerBlock = most;
      return true;
    }();
  }
#endif
}

/// Has a functor an address that the whole device can read? Kokkos' CUDA backend passes it as a
/// constant of the grid from 5.2 on; before, a large one goes through constant memory and a small
/// one is copied by each thread.
template <class Functor>
inline constexpr bool stays_in_constant_memory = KOKKOS_VERSION >= 50200 || sizeof(Functor) > 512;

}  // namespace delta_attention::kernel
