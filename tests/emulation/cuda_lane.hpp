// A lane of an NVIDIA warp (sm_80 and newer), emulated: the same members as arch::cuda_lane.
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>

#include "cuda_instructions.hpp"
#include "team.hpp"

namespace emulation {

class cuda_lane {
 public:
  static constexpr int lanes = 32, alignment = 1024, shared_memory = 227 << 10;

  cuda_lane(const team& t, std::size_t shared_bytes) : block_(&t.block()), thread_(t.team_rank()) {
    if (block_->lanes() != lanes) fail("a warp has 32 lanes, but a wave ", block_->lanes());
    if (shared_bytes > block_->shared_bytes())
      fail("the kernel wants ", shared_bytes, " bytes of shared memory, but the launch gives ",
           block_->shared_bytes());
    if (block_->origin % alignment != 0) fail("shared memory begins at ", block_->origin);
  }

  int thread() const { return thread_; }
  int lane() const { return thread_ % lanes; }
  int warp() const { return thread_ / lanes; }

  int origin() const { return block_->origin; }
  void barrier(site where = site::current()) const { at(where).barrier(thread_); }

  template <class T> T shared_load(int from, site where = site::current()) const {
    check_type<T>();
    return at(where).template shared_load<T>(thread_, from);
  }
  template <class T> void shared_store(int to, const T& x, site where = site::current()) const {
    check_type<T>();
    at(where).shared_store(thread_, to, x);
  }
  /// A place in shared memory for what all lanes of a warp have.
  template <class T> const T& keep(int to, const T& x, site where = site::current()) const {
    struct exchange {
      const T *x, *kept;
      int to;
    } mine{&x, nullptr, to};
    const auto work = [this](void* const* slots) {
      const exchange& first = *static_cast<const exchange*>(slots[0]);
      const T& kept = block_->shared_keep(thread_, first.to, *first.x);
      for (int l = 0; l < lanes; ++l) {
        auto& mine = *static_cast<exchange*>(slots[l]);
        if (mine.to != first.to) fail("lanes keep at ", mine.to, " and at ", first.to);
        mine.kept = &kept;
      }
    };
    at(where).collective(thread_, "keep", &mine, work);
    return *mine.kept;
  }
  template <class T> T load(const T* p, site where = site::current()) const {
    check_type<T>();
    at(where).global().check(p, sizeof(T));
    T x;
    std::memcpy(static_cast<void*>(&x), static_cast<const void*>(p), sizeof(T));
    return x;
  }

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
      std::uint32_t b[2];
    } mine{d, a, {b0, b1}};
    const auto work = [](void* const* slots) {
      cuda::multiply<Element>(
          [&](int lane) -> auto& { return *static_cast<const operands*>(slots[lane]); });
    };
    at(where).collective(thread_, text_of<Element>(), &mine, work);
  }

  float shuffle_xor(float x, int mask, site where = site::current()) const {
    struct exchange {
      float x, result;
      int mask;
    } mine{x, 0, mask};
    const auto work = [](void* const* slots) {
      for (int l = 0; l < lanes; ++l) {
        auto& to = *static_cast<exchange*>(slots[l]);
        if (to.mask < 0 || to.mask >= lanes) fail("shuffle with mask ", to.mask);
        to.result = static_cast<const exchange*>(slots[l ^ to.mask])->x;
      }
    };
    at(where).collective(thread_, "shuffle", &mine, work);
    return mine.result;
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
  bool any(bool x, site where = site::current()) const { return vote("any", x, where) != 0; }
  std::uint32_t ballot(bool x, site where = site::current()) const {
    return vote("ballot", x, where);
  }

  /// ex2.approx.ftz.f32: subnormal numbers are zero, going in and coming out.
  static float exp2(float x) {
    const float y = std::exp2(std::fpclassify(x) == FP_SUBNORMAL ? 0.0f : x);
    return std::fpclassify(y) == FP_SUBNORMAL ? 0.0f : y;
  }
  template <class Element> static std::uint32_t pack(float low, float high) {
    return cuda::pack<Element>(low, high);
  }

 private:
  template <class T> static void check_type() {
    static_assert(
        std::is_trivially_copyable_v<T> && sizeof(T) <= 16 && (sizeof(T) & (sizeof(T) - 1)) == 0,
        "a lane moves 1, 2, 4, 8 or 16 bytes at once");
  }
  template <class Element> static const char* text_of() {
    return std::is_same_v<Element, delta_attention::float16> ? "mma f16" : "mma bf16";
  }
  // A bit for each lane that says yes.
  std::uint32_t vote(const char* name, bool x, const site& where) const {
    std::uint32_t mine = x;
    const auto work = [](void* const* slots) {
      std::uint32_t all = 0;
      for (int l = 0; l < lanes; ++l) all |= *static_cast<const std::uint32_t*>(slots[l]) << l;
      for (int l = 0; l < lanes; ++l) *static_cast<std::uint32_t*>(slots[l]) = all;
    };
    at(where).collective(thread_, name, &mine, work);
    return mine;
  }
  block& at(const site& where) const {
    block_->asks(thread_, where);
    return *block_;
  }

  block* block_;
  int thread_;
};

}  // namespace emulation
