// What timing needs of a GPU's own runtime: CUDA's and HIP's differ in their prefix, and in how a
// kernel reads a clock.
#pragma once
#include <Kokkos_Core.hpp>
#include <cstdint>
#include <stdexcept>
#include <string>

#if defined(KOKKOS_ENABLE_CUDA)
#include <cuda_runtime.h>
#define GPU(name) cuda##name
#else
#include <hip/hip_runtime.h>
#define GPU(name) hip##name
#endif

namespace bench {

using execution_space = Kokkos::DefaultExecutionSpace;

inline void check(GPU(Error_t) code) {
  if (code != GPU(Success)) throw std::runtime_error(GPU(GetErrorString)(code));
}

#if defined(KOKKOS_ENABLE_CUDA)
inline auto stream_of(const execution_space& exec) {
  return exec.cuda_stream();
}
inline std::string device_name(const execution_space& exec) {
  return exec.cuda_device_prop().name;
}
inline std::string compiler() {
  return "nvcc " + std::to_string(__CUDACC_VER_MAJOR__) + "." +
         std::to_string(__CUDACC_VER_MINOR__) + ", " __VERSION__;
}
__device__ inline std::int64_t ticks_now() {
  std::int64_t now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}
inline std::int64_t ticks_of_a_millisecond() {
  return 1000000;
}
#else
inline auto stream_of(const execution_space& exec) {
  return exec.hip_stream();
}
inline std::string device_name(const execution_space&) {
  const auto properties = Kokkos::HIP::hip_device_prop();
  return std::string(properties.name) + " (" + properties.gcnArchName + ")";
}
inline std::string compiler() {
  return "HIP " + std::to_string(HIP_VERSION_MAJOR) + "." + std::to_string(HIP_VERSION_MINOR) +
         ", " __VERSION__;
}
__device__ inline std::int64_t ticks_now() {
  return wall_clock64();
}
inline std::int64_t ticks_of_a_millisecond() {
  int device = 0, kilohertz = 0;
  check(hipGetDevice(&device));
  check(hipDeviceGetAttribute(&kilohertz, hipDeviceAttributeWallClockRate, device));
  return kilohertz;
}
#endif

}  // namespace bench
