// expect: a View lies in memory that the execution space cannot access
#include <delta_attention/delta_attention.hpp>

namespace da = delta_attention;

// A memory space that no execution space of this build can reach.
struct far_memory {
  using memory_space = far_memory;
  using execution_space = Kokkos::DefaultHostExecutionSpace;
  using device_type = Kokkos::Device<execution_space, far_memory>;
  using size_type = std::size_t;
  static constexpr const char* name() { return "far"; }
};
template <>
struct Kokkos::Impl::MemorySpaceAccess<Kokkos::DefaultExecutionSpace::memory_space, far_memory> {
  enum : bool { assignable = false, accessible = false, deepcopy = false };
};
using far_view = Kokkos::View<float****, Kokkos::LayoutRight,
                              Kokkos::Device<Kokkos::DefaultHostExecutionSpace, far_memory>,
                              Kokkos::MemoryTraits<Kokkos::Unmanaged>>;

void use(const far_view& x, const Kokkos::View<float****>& out) {
  da::attention(Kokkos::DefaultExecutionSpace(), x, x, x, out, da::causal{});
}
