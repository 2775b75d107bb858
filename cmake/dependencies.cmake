# Each dependency is what find_package finds; else, if DELTA_ATTENTION_FETCH_DEPENDENCIES is on, its
# release's download. The library needs Kokkos alone.
include(FetchContent)
if(POLICY CMP0135)
  cmake_policy(SET CMP0135 NEW) # extracted files are as old as their extraction
endif()

set(DELTA_ATTENTION_KOKKOS_MINIMUM 4.7)

# The hash of Kokkos is that of Homebrew's formula; those of Catch2 and Benchmark are Debian's, of
# the same archives (the Bazel Central Registry has the same two).
set(delta_attention_url_Kokkos
  https://github.com/kokkos/kokkos/releases/download/5.2.2/kokkos-5.2.2.tar.gz)
set(delta_attention_sha256_Kokkos d6557aaef39302282a15f9c770433d1fcdf4e961dfd6d9ed726b9d0d0f546b9f)
set(delta_attention_url_Catch2 https://github.com/catchorg/Catch2/archive/refs/tags/v3.7.1.tar.gz)
set(delta_attention_sha256_Catch2 c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c)
set(delta_attention_url_benchmark
  https://github.com/google/benchmark/archive/refs/tags/v1.9.1.tar.gz)
set(delta_attention_sha256_benchmark
  32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981)

# Our warnings are for our own code (CMake below 3.25 cannot say that of a download).
if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.25)
  set(delta_attention_system SYSTEM)
endif()

# A macro, since both ways set variables that the caller needs.
macro(delta_attention_dependency name version)
  find_package(${name} ${version} QUIET)
  if(${name}_FOUND)
    message(STATUS "${name} ${${name}_VERSION}: found in ${${name}_DIR}")
  elseif(DELTA_ATTENTION_FETCH_DEPENDENCIES)
    message(STATUS "${name}: downloading ${delta_attention_url_${name}}")
    FetchContent_Declare(${name}
      URL ${delta_attention_url_${name}}
      URL_HASH SHA256=${delta_attention_sha256_${name}}
      ${delta_attention_system})
    FetchContent_MakeAvailable(${name})
  else()
    # (The second sentence is there where it lacks a dependency of its own.)
    message(FATAL_ERROR "${name} ${version} or newer is not found. ${${name}_NOT_FOUND_MESSAGE} "
      "Set ${name}_ROOT or CMAKE_PREFIX_PATH to where it is installed, or let CMake download it "
      "with -D DELTA_ATTENTION_FETCH_DEPENDENCIES=ON.")
  endif()
endmacro()

macro(delta_attention_find_kokkos)
  if(NOT TARGET Kokkos::kokkos) # a parent project may have brought it
    # Only a Kokkos that we download reads these.
    if(DELTA_ATTENTION_DEVICE)
      set(Kokkos_ENABLE_${DELTA_ATTENTION_DEVICE} ON CACHE BOOL "")
    elseif(DELTA_ATTENTION_FETCH_DEPENDENCIES)
      find_package(OpenMP QUIET COMPONENTS CXX)
      if(OpenMP_CXX_FOUND)
        set(Kokkos_ENABLE_OPENMP ON CACHE BOOL "")
      endif()
    endif()
    delta_attention_dependency(Kokkos ${DELTA_ATTENTION_KOKKOS_MINIMUM})
  endif()
  # An installed Kokkos says what it was built for; one that is part of this build has options.
  if(NOT Kokkos_DEVICES)
    foreach(device IN ITEMS SERIAL OPENMP THREADS CUDA HIP SYCL)
      if(Kokkos_ENABLE_${device})
        list(APPEND Kokkos_DEVICES ${device})
      endif()
    endforeach()
  endif()
  if(DELTA_ATTENTION_DEVICE AND Kokkos_DEVICES AND NOT DELTA_ATTENTION_DEVICE IN_LIST Kokkos_DEVICES)
    message(FATAL_ERROR "This build asks for ${DELTA_ATTENTION_DEVICE}, but the Kokkos in "
      "${Kokkos_DIR} was built for ${Kokkos_DEVICES}. Set Kokkos_ROOT to another one, or let CMake "
      "download and build it with -D DELTA_ATTENTION_FETCH_DEPENDENCIES=ON "
      "-D CMAKE_DISABLE_FIND_PACKAGE_Kokkos=ON.")
  endif()
endmacro()
