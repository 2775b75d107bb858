#pragma once

#include <delta_attention/arch/amx_product.hpp>

#if defined(DELTA_ATTENTION_HAS_AMX)
#include <delta_attention/arch/vector_elements.hpp>

#include <cstdint>

namespace delta_attention::arch {

/// The first `count` of 32 elements, and zeros.
DELTA_ATTENTION_INLINE __m512i load32(const bfloat16* p, int count) {
  if (count >= 32) return _mm512_loadu_si512(p);
  return _mm512_maskz_loadu_epi16((__mmask32(1) << count) - 1, p);
}

/// 16 rows of `channels` channels as the columns of B: an operand for every 32 channels, `step`
/// apart.
inline void stage_columns(amx_operand* to, int step, const bfloat16* const* rows, int channels) {
  for (int c = 0; c < channels; c += 32, to += step) {
    vector m[16];  // of pairs
    for (int i = 0; i < 16; ++i) m[i] = (vector)load32(rows[i] + c, channels - c);
    transpose(m);
    for (int i = 0; i < 16; ++i) save(to->row(i), m[i]);
  }
}

/// A row of `channels` channels as row i of A: an operand for every 32 channels.
inline void stage_row(amx_operand* to, int i, const bfloat16* row, int channels) {
  for (int c = 0; c < channels; c += 32, ++to)
    save(to->row(i), (vector)load32(row + c, channels - c));
}

/// 32 rows that lie `stride` apart as the columns of A: an operand for every 16 channels, `step`
/// apart. Rows that are not `wanted` are zeros, and not read. Returns whether all are finite.
inline bool stage_transposed(amx_operand* to, int step, const bfloat16* rows, std::int64_t stride,
                             int channels, std::uint32_t wanted) {
  const __m512i magnitude = _mm512_set1_epi16(0x7fff), infinite = _mm512_set1_epi16(0x7f80);
  __m512i largest = _mm512_setzero_si512();
  for (int c = 0; c < channels; c += 32, to += 2 * step) {
    const auto load_row = [&](int i) {
      return wanted >> i & 1 ? load32(rows + i * stride + c, channels - c) : _mm512_setzero_si512();
    };
    vector low[16], high[16];  // of pairs: of every eight channels the first and the last four
    for (int i = 0; i < 16; ++i) {
      const __m512i even = load_row(2 * i), odd = load_row(2 * i + 1);
      largest = _mm512_max_epu16(largest, _mm512_and_si512(even, magnitude));
      largest = _mm512_max_epu16(largest, _mm512_and_si512(odd, magnitude));
      low[i] = (vector)_mm512_unpacklo_epi16(even, odd);
      high[i] = (vector)_mm512_unpackhi_epi16(even, odd);
    }
    transpose(low);
    transpose(high);
    for (int i = 0; i < 16; ++i) {
      const int channel = i / 4 * 8 + i % 4;
      amx_operand& operand = to[channel / 16 * step];
      save(operand.row(channel % 16), low[i]);
      save(operand.row(channel % 16 + 4), high[i]);
    }
  }
  return _mm512_cmpge_epu16_mask(largest, infinite) == 0;
}

/// Two weights of each of 16 rows as row i of B, rounded to nearest: halves away from 0, which
/// units do that are less busy than those of the conversion instruction.
DELTA_ATTENTION_INLINE void stage_weights(amx_operand* to, int i, vector even, vector odd) {
  const __m512i half = _mm512_set1_epi32(0x8000), low = _mm512_add_epi32((__m512i)even, half),
                high = _mm512_add_epi32((__m512i)odd, half);
  save(to->row(i), (vector)_mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(low, 16), high));
}

}  // namespace delta_attention::arch
#endif
