// What the typed tests run over: every enabled execution space x element type x instruction family.
#pragma once

#include <Kokkos_Core.hpp>
#include <bit>
#include <cstdint>
#include <delta_attention/delta_attention.hpp>
#include <string>
#include <tuple>
#include <type_traits>

#include "oracle_rounding.hpp"

namespace da = delta_attention;

/// The family that the public functions choose by themselves.
struct best_family {};

template <class Exec, class Element, class Family> struct setup {
  using execution_space = Exec;
  using element = Element;
  using family = Family;
};

/// Bits, roundings and names of an element type, written without the library's conversions.
template <class Element> struct element_traits;

template <> struct element_traits<float> {
  using truth = double;                        // the oracle's arithmetic
  using plain = float;                         // that of a plain same-precision implementation
  static constexpr double half_ulp = 0x1p-24;  // relative, of a stored result
  static constexpr double smallest = 0x1p-149;
  static constexpr const char* name = "float";
  static float from(double value) { return static_cast<float>(value); }
  static double to(float value) { return value; }
};
template <> struct element_traits<double> {
  using truth = long double;
  using plain = double;
  static constexpr double half_ulp = 0x1p-53;
  static constexpr double smallest = 0;
  static constexpr const char* name = "double";
  static double from(double value) { return value; }
  static double to(double value) { return value; }
};
template <> struct element_traits<da::float16> {
  using truth = double;
  using plain = float;
  static constexpr double half_ulp = 0x1p-11;
  static constexpr double smallest = 0x1p-24;
  static constexpr const char* name = "float16";
  static da::float16 from(double value) {
    return std::bit_cast<da::float16>(oracle::float16_bits(static_cast<float>(value)));
  }
  static double to(da::float16 value) {
    return oracle::float16_value(std::bit_cast<std::uint16_t>(value));
  }
};
template <> struct element_traits<da::bfloat16> {
  using truth = double;
  using plain = float;
  static constexpr double half_ulp = 0x1p-8;
  static constexpr double smallest = 0x1p-133;
  static constexpr const char* name = "bfloat16";
  static da::bfloat16 from(double value) {
    return std::bit_cast<da::bfloat16>(oracle::bfloat16_bits(static_cast<float>(value)));
  }
  static double to(da::bfloat16 value) {
    return oracle::bfloat16_value(std::bit_cast<std::uint16_t>(value));
  }
};

/// What lse, sink logits and their arithmetic are stored in.
template <class Element>
using statistic = std::conditional_t<std::is_same_v<Element, double>, double, float>;

template <class... Lists> using concatenated = decltype(std::tuple_cat(std::declval<Lists>()...));

template <class Exec>
inline constexpr bool on_host =
    Kokkos::SpaceAccessibility<Kokkos::HostSpace, typename Exec::memory_space>::accessible;

/// Where vectors cover elements of 16 bits, the scalar family's kernels for them only convert what
/// those for float do not: test_dense has them (scalar_conversions), the others do not.
#if defined(DELTA_ATTENTION_HAS_SIMD)
template <class Exec, class Element, class Family>
inline constexpr bool only_converts =
    sizeof(Element) == 2 && std::is_same_v<Family, da::arch::scalar> &&
    da::arch::simd::covers<Exec, Element>;
#else
template <class Exec, class Element, class Family> inline constexpr bool only_converts = false;
#endif

template <class Exec, class Element, class Families> struct covering;
template <class Exec, class Element, class... Family>
struct covering<Exec, Element, da::arch::families<Family...>> {
  using type =
      concatenated<std::conditional_t<Family::template covers<Exec, Element> &&
                                          !only_converts<Exec, Element, Family>,
                                      std::tuple<setup<Exec, Element, Family>>, std::tuple<>>...>;
};

/// Every family that has kernels for the two in this build, and is tested.
template <class Exec, class Element>
using setups_of = typename covering<Exec, Element, da::arch::all_families>::type;

/// The family that would be the best one without the best; the same where there is but one.
template <class Exec, class Element>
using second_setup = std::tuple_element_t<(std::tuple_size_v<setups_of<Exec, Element>> > 1),
                                          setups_of<Exec, Element>>;

template <class Exec>
using setups_in = concatenated<setups_of<Exec, float>, setups_of<Exec, double>,
                               setups_of<Exec, da::float16>, setups_of<Exec, da::bfloat16>>;

#ifdef KOKKOS_ENABLE_SERIAL
using serial_spaces = std::tuple<Kokkos::Serial>;
#else
using serial_spaces = std::tuple<>;
#endif
#ifdef KOKKOS_ENABLE_OPENMP
using openmp_spaces = std::tuple<Kokkos::OpenMP>;
#else
using openmp_spaces = std::tuple<>;
#endif
#ifdef KOKKOS_ENABLE_THREADS
using thread_spaces = std::tuple<Kokkos::Threads>;
#else
using thread_spaces = std::tuple<>;
#endif
using host_spaces = concatenated<serial_spaces, openmp_spaces, thread_spaces>;
using device_spaces = std::conditional_t<on_host<Kokkos::DefaultExecutionSpace>, std::tuple<>,
                                         std::tuple<Kokkos::DefaultExecutionSpace>>;
#ifdef DELTA_ATTENTION_TEST_DEVICE_ONLY  // less to compile; the CPU's builds have the others
using execution_spaces = device_spaces;
#else
using execution_spaces = concatenated<host_spaces, device_spaces>;
#endif

template <class Spaces> struct setups_over;
template <class... Exec> struct setups_over<std::tuple<Exec...>> {
  using type = concatenated<setups_in<Exec>...>;
  template <class Element> using with = concatenated<setups_of<Exec, Element>...>;
  template <class Element>
  using conversions = concatenated<
      std::conditional_t<only_converts<Exec, Element, da::arch::scalar>,
                         std::tuple<setup<Exec, Element, da::arch::scalar>>, std::tuple<>>...>;
  using best = std::tuple<setup<Exec, float, best_family>...>;
};

/// All of them; those of one element type; the public functions with float.
using every_setup = setups_over<execution_spaces>::type;
template <class Element> using setups_with = setups_over<execution_spaces>::with<Element>;
using best_setups = setups_over<execution_spaces>::best;
#ifdef DELTA_ATTENTION_TEST_FEWER_KERNELS
using scalar_conversions = std::tuple<>;
#else
using scalar_conversions = concatenated<setups_over<execution_spaces>::conversions<da::float16>,
                                        setups_over<execution_spaces>::conversions<da::bfloat16>>;
#endif

/// Whether a family rounds weights to the element type before they meet the values, as every tensor
/// core needs it.
template <class Family>
inline constexpr bool family_rounds_weights = requires { requires Family::rounds_weights; };
template <class Family, class Exec, class Element>
inline constexpr bool rounds_weights =
    family_rounds_weights<std::conditional_t<std::is_same_v<Family, best_family>,
                                             da::arch::preferred<Exec, Element>, Family>>;

template <class Setup> std::string setup_name() {
  using family = typename Setup::family;
  std::string name = Setup::execution_space::name();
  name += ' ';
  name += element_traits<typename Setup::element>::name;
  if constexpr (std::is_same_v<family, best_family>)
    return name + " best";
  else
    return name + ' ' + family::description();
}
