#pragma once

#include <delta_attention/arch/hopper_lane.hpp>

#if defined(DELTA_ATTENTION_HAS_WGMMA)

namespace delta_attention::arch {

// An instruction's text has its shape, its elements' type and a name for each register.
// clang-format off
#define DELTA_ATTENTION_NAMES_64                                                                   \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,"                                         \
  "%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,%30,%31"
#define DELTA_ATTENTION_NAMES_128                                                                  \
  DELTA_ATTENTION_NAMES_64 ","                                                                     \
  "%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,"                               \
  "%48,%49,%50,%51,%52,%53,%54,%55,%56,%57,%58,%59,%60,%61,%62,%63"
#define DELTA_ATTENTION_SUMS_64                                                                    \
  "+f"(d[0][0]), "+f"(d[0][1]), "+f"(d[0][2]), "+f"(d[0][3]),                                      \
  "+f"(d[1][0]), "+f"(d[1][1]), "+f"(d[1][2]), "+f"(d[1][3]),                                      \
  "+f"(d[2][0]), "+f"(d[2][1]), "+f"(d[2][2]), "+f"(d[2][3]),                                      \
  "+f"(d[3][0]), "+f"(d[3][1]), "+f"(d[3][2]), "+f"(d[3][3]),                                      \
  "+f"(d[4][0]), "+f"(d[4][1]), "+f"(d[4][2]), "+f"(d[4][3]),                                      \
  "+f"(d[5][0]), "+f"(d[5][1]), "+f"(d[5][2]), "+f"(d[5][3]),                                      \
  "+f"(d[6][0]), "+f"(d[6][1]), "+f"(d[6][2]), "+f"(d[6][3]),                                      \
  "+f"(d[7][0]), "+f"(d[7][1]), "+f"(d[7][2]), "+f"(d[7][3])
#define DELTA_ATTENTION_SUMS_128                                                                   \
  DELTA_ATTENTION_SUMS_64,                                                                         \
  "+f"(d[8][0]), "+f"(d[8][1]), "+f"(d[8][2]), "+f"(d[8][3]),                                      \
  "+f"(d[9][0]), "+f"(d[9][1]), "+f"(d[9][2]), "+f"(d[9][3]),                                      \
  "+f"(d[10][0]), "+f"(d[10][1]), "+f"(d[10][2]), "+f"(d[10][3]),                                  \
  "+f"(d[11][0]), "+f"(d[11][1]), "+f"(d[11][2]), "+f"(d[11][3]),                                  \
  "+f"(d[12][0]), "+f"(d[12][1]), "+f"(d[12][2]), "+f"(d[12][3]),                                  \
  "+f"(d[13][0]), "+f"(d[13][1]), "+f"(d[13][2]), "+f"(d[13][3]),                                  \
  "+f"(d[14][0]), "+f"(d[14][1]), "+f"(d[14][2]), "+f"(d[14][3]),                                  \
  "+f"(d[15][0]), "+f"(d[15][1]), "+f"(d[15][2]), "+f"(d[15][3])
#define DELTA_ATTENTION_SHARED_128(type)                                                           \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"                                                 \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" DELTA_ATTENTION_NAMES_128  \
      "}, %64, %65, p, 1, 1, 0, 0;\n}\n"                                                           \
      : DELTA_ATTENTION_SUMS_128 : "l"(a), "l"(b), "r"(int(add)))
#define DELTA_ATTENTION_HELD_128(type)                                                             \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"                                                 \
      "wgmma.mma_async.sync.aligned.m64n128k16.f32." type "." type " {" DELTA_ATTENTION_NAMES_128  \
      "}, {%64,%65,%66,%67}, %68, p, 1, 1, 1;\n}\n"                                                \
      : DELTA_ATTENTION_SUMS_128 : "r"(a.v[0]), "r"(a.v[1]), "r"(a.v[2]), "r"(a.v[3]), "l"(b), "r"(int(add)))
#define DELTA_ATTENTION_HELD_64(type)                                                              \
  asm volatile(                                                                                    \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"                                                 \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." type "." type " {" DELTA_ATTENTION_NAMES_64    \
      "}, {%32,%33,%34,%35}, %36, p, 1, 1, 1;\n}\n"                                                \
      : DELTA_ATTENTION_SUMS_64 : "r"(a.v[0]), "r"(a.v[1]), "r"(a.v[2]), "r"(a.v[3]), "l"(b), "r"(int(add)))
// clang-format on

/// d = a b^T, or d += a b^T where `add`: 64 x 128 from 64 x 16 and 128 x 16, which are where their
/// descriptors say (PTX ISA 9.7.15.5). A warpgroup holds d: warp w the rows 16 w on, as mma.sync
/// does.
template <class Element>
__device__ __forceinline__ void shared_product(float (&d)[16][4], std::uint64_t a, std::uint64_t b,
                                               bool add) {
#if DELTA_ATTENTION_ON_HOPPER
  if constexpr (std::is_same_v<Element, bfloat16>)
    DELTA_ATTENTION_SHARED_128("bf16");
  else
    DELTA_ATTENTION_SHARED_128("f16");
#endif
}
/// The same for 64 x Columns from 64 x 16, which the warpgroup holds as it does d, times
/// 16 x Columns.
template <class Element, int Columns>
__device__ __forceinline__ void held_product(float (&d)[Columns / 8][4], const words4& a,
                                             std::uint64_t b, bool add) {
#if DELTA_ATTENTION_ON_HOPPER
  static_assert(Columns == 64 || Columns == 128);
  constexpr bool is_bfloat16 = std::is_same_v<Element, bfloat16>;
  if constexpr (Columns == 128 && is_bfloat16)
    DELTA_ATTENTION_HELD_128("bf16");
  else if constexpr (Columns == 128)
    DELTA_ATTENTION_HELD_128("f16");
  else if constexpr (is_bfloat16)
    DELTA_ATTENTION_HELD_64("bf16");
  else
    DELTA_ATTENTION_HELD_64("f16");
#endif
}
#undef DELTA_ATTENTION_NAMES_64
#undef DELTA_ATTENTION_NAMES_128
#undef DELTA_ATTENTION_SUMS_64
#undef DELTA_ATTENTION_SUMS_128
#undef DELTA_ATTENTION_SHARED_128
#undef DELTA_ATTENTION_HELD_128
#undef DELTA_ATTENTION_HELD_64

/// Where a matrix of 16-bit elements lies in shared memory: rows of 128 bytes in eights, the
/// 16-byte piece c of row r at c ^ r % 8 ("128-byte swizzle"), `half` bytes from columns 0..63 to
/// the next 64 where b is transposed. As one word, since the descriptor's other half is constant.
__device__ __forceinline__ int matrix_place(int at, int half) {
  return (at & 0x3ffff) >> 4 | (half >> 4) << 16;
}
/// The descriptor of the matrix that begins `bytes` later.
__device__ __forceinline__ std::uint64_t matrix_descriptor(int place, int bytes) {
  constexpr std::uint64_t eight_rows = 1024, swizzle = std::uint64_t(1) << 62;
  return std::uint64_t(std::uint32_t(place + (bytes >> 4))) | (eight_rows >> 4) << 32 | swizzle;
}

}  // namespace delta_attention::arch
#endif
