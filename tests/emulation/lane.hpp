// What a lane of a wave can do on any vendor's GPU. Every operation takes its caller's line as its
// last argument.
#pragma once

#include <cmath>
#include <cstring>
#include <type_traits>

#include "team.hpp"

namespace emulation {

template <int Lanes> class wave_lane {
  static_assert(0 < Lanes && Lanes <= 64 && (Lanes & (Lanes - 1)) == 0);

 public:
  static constexpr int lanes = Lanes;

  int thread() const { return thread_; }
  int lane() const { return thread_ % lanes; }
  int wave() const { return thread_ / lanes; }

  int origin() const { return block_->origin; }
  void barrier(site where = site::current()) const { at(where).barrier(thread_); }
  /// A fence for a GPU's compiler: it moves nothing from one phase to the next.
  void phase() const {}

  template <class T> T shared_load(int from, site where = site::current()) const {
    check_type<T>();
    return at(where).template shared_load<T>(thread_, from);
  }
  template <class T> void shared_store(int to, const T& x, site where = site::current()) const {
    check_type<T>();
    at(where).shared_store(thread_, to, x);
  }
  /// A place in shared memory for what all lanes of a wave have.
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
    at(where).global().check(p, sizeof(T), sizeof(T));
    T x;
    std::memcpy(static_cast<void*>(&x), static_cast<const void*>(p), sizeof(T));
    return x;
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
  bool any(bool x, site where = site::current()) const { return vote("any", x, where) != 0; }
  /// A bit for each lane that says yes.
  auto ballot(bool x, site where = site::current()) const {
    return static_cast<lane_mask>(vote("ballot", x, where));
  }

 protected:
  using lane_mask = std::conditional_t<(Lanes > 32), std::uint64_t, std::uint32_t>;

  wave_lane(const team& t, std::size_t shared_bytes, int alignment)
      : block_(&t.block()), thread_(t.team_rank()) {
    if (block_->lanes() != lanes)
      fail("the kernel is for waves of ", lanes, " lanes, but the block's have ", block_->lanes());
    if (shared_bytes > block_->shared_bytes())
      fail("the kernel wants ", shared_bytes, " bytes of shared memory, but the launch gives ",
           block_->shared_bytes());
    if (block_->origin % alignment != 0) fail("shared memory begins at ", block_->origin);
  }

  template <class T> static void check_type() {
    static_assert(
        std::is_trivially_copyable_v<T> && sizeof(T) <= 16 && (sizeof(T) & (sizeof(T) - 1)) == 0,
        "a lane moves 1, 2, 4, 8 or 16 bytes at once");
  }
  block& at(const site& where) const {
    block_->asks(thread_, where);
    return *block_;
  }
  /// 2^x where subnormal numbers are zero, going in and coming out.
  static float exp2_of_normal(float x) {
    const float y = std::exp2(std::fpclassify(x) == FP_SUBNORMAL ? 0.0f : x);
    return std::fpclassify(y) == FP_SUBNORMAL ? 0.0f : y;
  }

  block* block_;
  int thread_;

 private:
  std::uint64_t vote(const char* name, bool x, const site& where) const {
    std::uint64_t mine = x;
    const auto work = [](void* const* slots) {
      std::uint64_t all = 0;
      for (int l = 0; l < lanes; ++l) all |= *static_cast<const std::uint64_t*>(slots[l]) << l;
      for (int l = 0; l < lanes; ++l) *static_cast<std::uint64_t*>(slots[l]) = all;
    };
    at(where).collective(thread_, name, &mine, work);
    return mine;
  }
};

}  // namespace emulation
