# delta_attention_hopper(target): wgmma, Hopper's tensor core instruction, is not part of sm_90 but
# of sm_90a. A Kokkos built for HOPPER90 passes -arch=sm_90 to whatever links it, and nvcc_wrapper
# takes no second architecture: so that option becomes sm_90a, and `target` tells its users. Kokkos'
# own library may stay compiled for sm_90. What is so compiled runs on Hopper alone, while sm_90
# brings code that later GPUs can take; -D DELTA_ATTENTION_HOPPER=OFF leaves it at sm_90.
option(DELTA_ATTENTION_HOPPER "Compile for sm_90a where Kokkos was built for sm_90" ON)

function(delta_attention_hopper target)
  get_target_property(core Kokkos::kokkoscore ALIASED_TARGET) # where Kokkos is part of this build
  if(NOT core)
    set(core Kokkos::kokkoscore)
  endif()
  set(sm_90a -gencode=arch=compute_90a,code=sm_90a)
  foreach(property IN ITEMS INTERFACE_LINK_OPTIONS INTERFACE_COMPILE_OPTIONS)
    get_target_property(options ${core} ${property})
    if(options AND DELTA_ATTENTION_HOPPER)
      string(REGEX REPLACE "-arch=sm_90([;>]|$)" "${sm_90a}\\1" options "${options}")
      set_property(TARGET ${core} PROPERTY ${property} "${options}")
    endif()
  endforeach()
  # Also where an earlier call has replaced it.
  string(FIND "${options}" ${sm_90a} found)
  if(NOT found EQUAL -1)
    set_property(TARGET ${target} APPEND PROPERTY INTERFACE_COMPILE_DEFINITIONS
      $<BUILD_INTERFACE:DELTA_ATTENTION_HAS_WGMMA=1>)
  endif()
endfunction()
