#pragma once

#include <Kokkos_Core.hpp>

#include <cstdint>

namespace delta_attention::kernel {

/// A divisor whose quotients are products, since GPUs have no instruction for divisions: with
/// i = ceil(2^40 / d), n / d = n i / 2^40 rounded down, exactly where n and d are below 2^20.
class divisor {
 public:
  divisor() = default;
  explicit divisor(int d)
      : value_(d), inverse_(((std::uint64_t(1) << 40) + unsigned(d) - 1) / unsigned(d)) {}

  KOKKOS_FUNCTION int value() const { return value_; }
  friend KOKKOS_INLINE_FUNCTION int operator/(int n, const divisor& d) {
    return int(unsigned(n) * d.inverse_ >> 40);
  }
  friend KOKKOS_INLINE_FUNCTION int operator%(int n, const divisor& d) {
    return n - n / d * d.value_;
  }

 private:
  int value_;
  std::uint64_t inverse_;
};

}  // namespace delta_attention::kernel
