#pragma once

#include <Kokkos_Core.hpp>
#include <delta_attention/tensor/contract.hpp>
#include <delta_attention/tensor/element.hpp>

#include <cstdint>
#include <type_traits>

namespace delta_attention {

/// @cond internal

/// A View of rank 4, (batch, token, head, channel) with contiguous channels, or of rank 3, (batch,
/// token, head), without its layout: what kernels are instantiated for. Strides are in elements.
template <class T> struct tensor {
  T* data = nullptr;
  std::int64_t batches = 0, tokens = 0, heads = 0, channels = 1;
  std::int64_t batch_stride = 0, token_stride = 0, head_stride = 0;

  KOKKOS_FUNCTION T* row(std::int64_t batch, std::int64_t token, std::int64_t head) const {
    return data + batch * batch_stride + token * token_stride + head * head_stride;
  }
  KOKKOS_FUNCTION bool empty() const { return batches * tokens * heads * channels == 0; }
};

template <class T> tensor<const std::remove_const_t<T>> constant(const tensor<T>& t) {
  return {t.data,     t.batches,      t.tokens,       t.heads,
          t.channels, t.batch_stride, t.token_stride, t.head_stride};
}

/// Does every row begin at a multiple of 16 bytes, so that copies may go 16 bytes at a time?
/// (A stride counts only where there is a second element.)
template <class T> KOKKOS_FUNCTION bool rows_are_aligned(const tensor<T>& t) {
  const auto fits = [](std::int64_t extent, std::int64_t stride) {
    return extent <= 1 || stride * std::int64_t(sizeof(T)) % 16 == 0;
  };
  return reinterpret_cast<std::uintptr_t>(t.data) % 16 == 0 && fits(t.batches, t.batch_stride) &&
         fits(t.tokens, t.token_stride) && fits(t.heads, t.head_stride);
}

/// Do the two describe the same elements in the same order?
template <class T, class U> bool same_elements(const tensor<T>& a, const tensor<U>& b) {
  return static_cast<const void*>(a.data) == static_cast<const void*>(b.data) &&
         a.batch_stride == b.batch_stride && a.token_stride == b.token_stride &&
         a.head_stride == b.head_stride;
}

/// Erases the type of a View, which must have the rank that its use has in the interface.
template <class View> auto erase(const View& v) {
  using value = typename View::value_type;
  tensor<value> t;
  t.data = v.data();
  t.batches = static_cast<std::int64_t>(v.extent(0));
  t.tokens = static_cast<std::int64_t>(v.extent(1));
  t.heads = static_cast<std::int64_t>(v.extent(2));
  t.batch_stride = static_cast<std::int64_t>(v.stride(0));
  t.token_stride = static_cast<std::int64_t>(v.stride(1));
  t.head_stride = static_cast<std::int64_t>(v.stride(2));
  if constexpr (View::rank() == 4) t.channels = static_cast<std::int64_t>(v.extent(3));
  return t;
}

/// @endcond

/// The view (batch, head, token, channel) relabelled as (batch, token, head, channel), without a
/// copy.
///
/// @param v a View of rank 4 of any layout, which must live as long as the result is used
/// @returns an unmanaged View with LayoutStride of the same memory
template <class T, class... Properties> auto bhnd(const Kokkos::View<T, Properties...>& v) {
  using view = Kokkos::View<T, Properties...>;
  static_assert(view::rank() == 4, "bhnd takes a view of rank 4: (batch, head, token, channel)");
  const Kokkos::LayoutStride layout(v.extent(0), v.stride(0), v.extent(2), v.stride(2), v.extent(1),
                                    v.stride(1), v.extent(3), v.stride(3));
  return Kokkos::View<typename view::value_type****, Kokkos::LayoutStride,
                      typename view::device_type, Kokkos::MemoryTraits<Kokkos::Unmanaged>>(v.data(),
                                                                                           layout);
}

}  // namespace delta_attention
