// A lane of an AMD wave of 64 (CDNA 2 and CDNA 3), emulated: the same members as arch::amd_lane.
#pragma once

#include "amd_instructions.hpp"
#include "lane.hpp"

namespace emulation {

class amd_lane : public wave_lane<64> {
 public:
  static constexpr int alignment = 16, shared_memory = 64 << 10;

  amd_lane(const team& t, std::size_t shared_bytes) : wave_lane(t, shared_bytes, alignment) {}

  /// Keeps a GPU's compiler from waiting for a load where it must not.
  void settle(amd::words4&) const {}
  /// Keeps it from deriving something from x long before it is used.
  std::uint32_t opaque(std::uint32_t x) const { return x; }

  using wave_lane::keep;
  /// What all lanes of a wave have, in scalar registers: the first lane's.
  template <class T> T keep(const T& x, site where = site::current()) const {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 4 == 0);
    struct exchange {
      const T* x;
      T kept;
    } mine{&x, x};
    const auto work = [](void* const* slots) {
      const T& first = *static_cast<const exchange*>(slots[0])->x;
      for (int l = 0; l < lanes; ++l) static_cast<exchange*>(slots[l])->kept = first;
    };
    at(where).collective(thread_, "readfirstlane", &mine, work);
    return mine.kept;
  }

  using wave_lane::load;
  /// Words at any multiple of two bytes.
  template <class Words> Words load(const void* from, site where = site::current()) const {
    check_type<Words>();
    at(where).global().check(from, sizeof(Words), 2);
    Words x;
    std::memcpy(&x, from, sizeof x);
    return x;
  }
  /// At a base that all lanes have (a scalar register) and an offset of the lane's own.
  template <class Words>
  Words load(const void* uniform, std::uint32_t bytes, site where = site::current()) const {
    check_type<Words>();
    at(where).uniform(thread_, uniform);
    const void* from = static_cast<const char*>(uniform) + bytes;
    block_->global().check(from, sizeof(Words), 2);
    Words x;
    std::memcpy(&x, from, sizeof x);
    return x;
  }

  /// Words to any multiple of two bytes.
  template <class Words> void store(void* to, const Words& x, site where = site::current()) const {
    check_type<Words>();
    at(where).global().check_alignment(to, sizeof(Words), 2);
    std::memcpy(to, &x, sizeof x);
  }

  /// Accumulators of a lane.
  template <int N> struct registers {
    float v[N];

    float get(int e) const { return v[e]; }
    void set(int e, float x) { v[e] = x; }
  };
  /// d += a b: 32 x 32 += 32 x 8 times 8 x 32.
  template <class Element>
  void mfma(registers<16>& d, const amd::words2& a, const amd::words2& b,
            site where = site::current()) const {
    multiply<Element>(d, a, b, where);
  }
  /// d += a b: 16 x 16 += 16 x 16 times 16 x 16.
  template <class Element>
  void mfma(registers<4>& d, const amd::words2& a, const amd::words2& b,
            site where = site::current()) const {
    multiply<Element>(d, a, b, where);
  }

  /// d += a b twice, with the operands' first and second halves.
  template <class Element, int N>
  void mfma(registers<N>& d, const amd::words4& a, const amd::words4& b,
            site where = site::current()) const {
    multiply<Element>(d, {{a.v[0], a.v[1]}}, {{b.v[0], b.v[1]}}, where);
    multiply<Element>(d, {{a.v[2], a.v[3]}}, {{b.v[2], b.v[3]}}, where);
  }

  /// Both x = x factor + addend, rounded once.
  static void multiply_add(float (&x)[2], float factor, float addend) {
    for (float& each : x) each = std::fma(each, factor, addend);
  }
  static void add(float (&sum)[2], const float (&x)[2]) {
    for (int i = 0; i < 2; ++i) sum[i] += x[i];
  }
  /// v_exp_f32: subnormal numbers are zero, going in and coming out.
  static float exp2(float x) { return exp2_of_normal(x); }
  /// Two weights as elements, rounded to nearest; for bfloat16, ties away from zero.
  template <class Element> static std::uint32_t pack(float low, float high) {
    if constexpr (std::is_same_v<Element, delta_attention::float16>)
      return emulation::pack<Element>(low, high);
    else
      return high_halves(std::bit_cast<std::uint32_t>(low) + 0x8000,
                         std::bit_cast<std::uint32_t>(high) + 0x8000);
  }
  static std::uint32_t low_halves(std::uint32_t x, std::uint32_t y) {
    return (x & 0xffff) | y << 16;
  }
  static std::uint32_t high_halves(std::uint32_t x, std::uint32_t y) {
    return x >> 16 | (y & 0xffff0000);
  }

 private:
  template <class Element, int N>
  void multiply(registers<N>& d, const amd::words2& a, const amd::words2& b,
                const site& where) const {
    using instruction = amd::instruction_of<N>;
    struct operands {
      float* d;
      amd::words2 a, b;
    } mine{d.v, a, b};
    const auto work = [](void* const* slots) {
      emulation::multiply_add<instruction, Element>(
          [&](int lane) -> auto& { return *static_cast<const operands*>(slots[lane]); });
    };
    constexpr bool f16 = std::is_same_v<Element, delta_attention::float16>;
    at(where).collective(thread_, f16 ? instruction::f16 : instruction::bf16, &mine, work);
  }
};

}  // namespace emulation
