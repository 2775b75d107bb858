#pragma once

#include <delta_attention/arch/vector.hpp>

// Every processor with AMX has AVX-512 with its instructions for words and bytes, too.
#if defined(DELTA_ATTENTION_HAS_SIMD) && defined(__AMX_TILE__) && defined(__AMX_BF16__) && \
    defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__x86_64__) && defined(__linux__)
#define DELTA_ATTENTION_HAS_AMX 1

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace delta_attention::arch {

// Intel's "Architecture Instruction Set Extensions Programming Reference", the chapter on AMX:
// eight tile registers of up to 16 rows of 64 bytes. TDPBF16PS adds to C, 16 x 16 floats, the
// product of A, 16 x 32 bfloat16, and B, 32 x 16, whose rows 2 i and 2 i + 1 lie in turns in row i
// of its register. It takes denormals for zeros.

/// Whether this process may use the tile registers. The kernel wants to be asked, once: they make
/// the state of a thread 8 KiB larger.
inline bool amx_is_permitted() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // of arch_prctl(2)
  static const bool permitted = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
  return permitted;
}

/// While it lives, the thread's tile registers have 16 rows of 64 bytes; afterwards they are as if
/// never used.
class amx_registers {
 public:
  amx_registers() {
    struct alignas(64) {
      unsigned char palette = 1, start_row = 0, reserved[14] = {};
      unsigned short row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      unsigned char rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const configuration;
    _tile_loadconfig(&configuration);
  }
  ~amx_registers() { _tile_release(); }
  amx_registers(const amx_registers&) = delete;
  amx_registers& operator=(const amx_registers&) = delete;
};

/// What a tile register holds of A or B, one piece of memory.
struct alignas(64) amx_operand {
  std::uint16_t x[16][32];
  float* row(int i) { return reinterpret_cast<float*>(x[i]); }  // for vectors' bits
};

/// 32 x 32 floats in four tile registers, to which products of a pair of operands of A, one above
/// the other, and a pair of B, side by side, are added.
struct amx_sums {
  static constexpr int stride = 32;  // of the floats' rows in memory

  static DELTA_ATTENTION_INLINE void clear() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  static DELTA_ATTENTION_INLINE void load(const float* from) {
    memory_is_written();
    _tile_loadd(0, from, row_bytes);
    _tile_loadd(1, from + 16, row_bytes);
    _tile_loadd(2, from + 16 * stride, row_bytes);
    _tile_loadd(3, from + 16 * stride + 16, row_bytes);
  }
  static DELTA_ATTENTION_INLINE void store(float* to) {
    _tile_stored(0, to, row_bytes);
    _tile_stored(1, to + 16, row_bytes);
    _tile_stored(2, to + 16 * stride, row_bytes);
    _tile_stored(3, to + 16 * stride + 16, row_bytes);
  }
  /// meanwhile(0) to meanwhile(3) are what vectors do at the same time: in small portions, since
  /// few tile registers' contents can be under way at once.
  template <class Meanwhile>
  static DELTA_ATTENTION_INLINE void add(const amx_operand* upper, const amx_operand* lower,
                                         const amx_operand* b, const Meanwhile& meanwhile) {
    memory_is_written();
    _tile_loadd(4, upper, 64);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    meanwhile(0);
    _tile_loadd(7, b + 1, 64);
    _tile_dpbf16ps(1, 4, 7);
    meanwhile(1);
    _tile_loadd(5, lower, 64);
    _tile_dpbf16ps(2, 5, 6);
    meanwhile(2);
    _tile_dpbf16ps(3, 5, 7);
    meanwhile(3);
  }
  static DELTA_ATTENTION_INLINE void add(const amx_operand* upper, const amx_operand* lower,
                                         const amx_operand* b) {
    add(upper, lower, b, [](int) {});
  }

 private:
  static constexpr std::ptrdiff_t row_bytes = stride * sizeof(float);

  // GCC's intrinsics do not say which memory they read.
  static DELTA_ATTENTION_INLINE void memory_is_written() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
};

}  // namespace delta_attention::arch
#endif
