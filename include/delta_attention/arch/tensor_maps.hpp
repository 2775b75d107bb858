#pragma once

#include <delta_attention/arch/hopper_lane.hpp>
#include <delta_attention/kernel/problem.hpp>

#if defined(DELTA_ATTENTION_HAS_WGMMA)

#include <type_traits>

namespace delta_attention::arch {

/// What the tensor memory accelerator needs to know of keys and values.
struct tensor_maps {
  CUtensorMap keys, values;
};

/// The tensor map of keys or values, in boxes of 64 channels and 128 tokens; false where the
/// hardware cannot describe them.
template <class Element> bool make_map(CUtensorMap& map, const tensor<const Element>& t) {
  static const auto encode = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
    const auto status = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000,
                                                         cudaEnableDefault, &found);
#else
    const auto status =
        cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &entry, cudaEnableDefault, &found);
#endif
    if (status != cudaSuccess) {
      (void)cudaGetLastError();  // another family takes the call
      entry = nullptr;
    }
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry);
  }();
  constexpr std::int64_t most = 0x7fffffff;  // of a coordinate
  if (encode == nullptr || t.empty() || !rows_are_aligned(t) || t.tokens > most) return false;
  const auto size = [](std::int64_t x) { return static_cast<cuuint64_t>(x); };
  const cuuint64_t extents[] = {size(t.channels), size(t.tokens), size(t.heads), size(t.batches)},
                   row = 2 * size((t.channels + 7) / 8 * 8);
  // A stride of an extent 1 is never used, but must be valid.
  const auto stride = [&](std::int64_t extent, std::int64_t elements) {
    return extent == 1 ? row : 2 * size(elements);
  };
  const cuuint64_t strides[] = {stride(t.tokens, t.token_stride), stride(t.heads, t.head_stride),
                                stride(t.batches, t.batch_stride)};
  const cuuint32_t box[] = {64, 128, 1, 1}, steps[] = {1, 1, 1, 1};
  return encode(&map,
                std::is_same_v<Element, bfloat16> ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16
                                                  : CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                4, const_cast<Element*>(t.data), extents, strides, box, steps,
                CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}
template <class Element> bool make_maps(tensor_maps& maps, const kernel::problem<Element>& p) {
  return make_map(maps.keys, p.k) && make_map(maps.values, p.v);
}

}  // namespace delta_attention::arch
#endif
