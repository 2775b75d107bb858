// A lane of an NVIDIA warp (sm_80 and newer), emulated: the same members as arch::cuda_lane.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda_instructions.hpp"
#include "lane.hpp"

namespace emulation {

class cuda_lane : public wave_lane<32> {
 public:
  static constexpr int alignment = 1024, shared_memory = 227 << 10;

  cuda_lane(const team& t, std::size_t shared_bytes) : wave_lane(t, shared_bytes, alignment) {}

  int warp() const { return wave(); }

  void copy_async(int to, const void* from, bool exists, site where = site::current()) const {
    at(where).copy_async(thread_, to, from, exists);
  }
  void commit_copies(site where = site::current()) const { at(where).commit_copies(thread_); }
  template <int Pending> void wait_copies(site where = site::current()) const {
    at(where).wait_copies(thread_, Pending);
  }

  cuda::words4 load_matrices(int from, bool transposed, site where = site::current()) const {
    struct exchange {
      cuda::words4 row, result;
    } mine{at(where).shared_load<cuda::words4>(thread_, from), {}};
    const auto work = [transposed](void* const* slots) {
      cuda::load_matrices(
          transposed,
          [&](int lane) -> auto& { return static_cast<const exchange*>(slots[lane])->row; },
          [&](int lane) -> auto& { return static_cast<exchange*>(slots[lane])->result; });
    };
    block_->collective(thread_, transposed ? "ldmatrix.trans" : "ldmatrix", &mine, work);
    return mine.result;
  }

  template <class Element>
  void mma(float (&d)[4], const cuda::words4& a, std::uint32_t b0, std::uint32_t b1,
           site where = site::current()) const {
    struct operands {
      float* d;
      cuda::words4 a;
      cuda::words2 b;
    } mine{d, a, {{b0, b1}}};
    const auto work = [](void* const* slots) {
      multiply_add<cuda::m16n8k16, Element>(
          [&](int lane) -> auto& { return *static_cast<const operands*>(slots[lane]); });
    };
    at(where).collective(thread_, text_of<Element>(), &mine, work);
  }

  bool any_of_team(bool x, site where = site::current()) const {
    return at(where).barrier(thread_, x);
  }
  int uniform(int x, site where = site::current()) const {
    const int first = static_cast<int>(shuffle(static_cast<std::uint32_t>(x), 0, where));
    if (first != x) fail("lane 0 has ", first, " for all, but another lane ", x);
    return x;
  }
  std::uint32_t shuffle(std::uint32_t x, int from, site where = site::current()) const {
    struct exchange {
      std::uint32_t x, result;
      int from;
    } mine{x, 0, from};
    const auto work = [](void* const* slots) {
      for (int l = 0; l < lanes; ++l) {
        auto& to = *static_cast<exchange*>(slots[l]);
        if (to.from < 0 || to.from >= lanes) fail("shuffle from lane ", to.from);
        to.result = static_cast<const exchange*>(slots[to.from])->x;
      }
    };
    at(where).collective(thread_, "shuffle", &mine, work);
    return mine.result;
  }

  static std::int32_t largest(std::int32_t a, std::int32_t b, std::int32_t c) {
    return std::max({a, b, c});
  }
  /// ex2.approx.ftz.f32: subnormal numbers are zero, going in and coming out.
  static float exp2(float x) { return exp2_of_normal(x); }
  template <class Element> static std::uint32_t pack(float low, float high) {
    return emulation::pack<Element>(low, high);
  }

 private:
  template <class Element> static const char* text_of() {
    return std::is_same_v<Element, delta_attention::float16> ? "mma f16" : "mma bf16";
  }
};

}  // namespace emulation
