#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/kernel/call.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace delta_attention::kernel {

/// Where the kernels of one call run, and the memory that they pass things on in: pieces of one
/// block, taken one after the other. Where it only measures, nothing is launched and the block is
/// counted: the same code tells what a call needs and does it.
template <class Exec, bool Launches> class execution {
 public:
  using space = Exec;
  static constexpr bool launches = Launches;
  static constexpr std::size_t alignment = 128;

  explicit execution(const Exec& e, std::byte* memory = nullptr)
      : space_(e),
        memory_(memory +
                (alignment - reinterpret_cast<std::uintptr_t>(memory) % alignment) % alignment) {}

  const Exec& instance() const { return space_; }
  template <class T> T* take(std::int64_t count) {
    static_assert(alignof(T) <= alignment);
    const std::size_t begin = used_;
    used_ += (std::size_t(count) * sizeof(T) + alignment - 1) / alignment * alignment;
    return Launches ? reinterpret_cast<T*>(memory_ + begin) : nullptr;
  }
  /// In memory that begins anywhere.
  std::size_t used() const { return used_ == 0 ? 0 : used_ + alignment; }

 private:
  const Exec& space_;
  std::byte* memory_;
  std::size_t used_ = 0;
};

/// The bytes that passes(execution) take.
template <class Exec, class Passes> std::size_t bytes_of(const Exec& exec, const Passes& passes) {
  execution<Exec, false> measure(exec);
  passes(measure);
  return measure.used();
}

/// Runs passes(execution) in the user's workspace, or in memory of the call's own.
template <class Exec, class Lse, class SinkLogits, class Workspace, class Passes>
void run_passes(const Exec& exec, const options<Lse, SinkLogits, Workspace>& o,
                const Passes& passes) {
  const std::size_t bytes = bytes_of(exec, passes);
  Kokkos::View<std::byte*, typename Exec::memory_space> own;
  std::byte* memory = nullptr;
  if constexpr (!std::is_same_v<Workspace, none>) {
    const std::size_t given = o.workspace.extent(0);
    require(given >= bytes, "options.workspace has ", given, " bytes, but this call needs ", bytes,
            ": ask workspace_size");
    memory = reinterpret_cast<std::byte*>(o.workspace.data());
  } else if (bytes > 0) {
    own = decltype(own)(
        Kokkos::view_alloc(exec, Kokkos::WithoutInitializing, "delta_attention::workspace"), bytes);
    memory = own.data();
  }
  execution<Exec, true> run(exec, memory);
  passes(run);
}

}  // namespace delta_attention::kernel
