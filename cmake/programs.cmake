# delta_attention_program(target): what all of our own programs share. Users get none of it.
function(delta_attention_program target)
  target_link_libraries(${target} PRIVATE delta_attention::delta_attention)
  # nvcc's generated code is not pedantic, and its host compiler does not know nvcc's pragmas.
  set(pedantic -Wpedantic)
  if("CUDA" IN_LIST Kokkos_DEVICES)
    set(pedantic -Wno-unknown-pragmas)
  endif()
  target_compile_options(${target} PRIVATE
    # (GCC below 14 takes a mask's empty base for a field that an initialiser forgot.)
    $<$<CXX_COMPILER_ID:GNU,Clang,AppleClang,IntelLLVM>:-Wall -Wextra ${pedantic}
      -Wno-missing-field-initializers>)
  if(DELTA_ATTENTION_SANITIZE)
    target_compile_options(${target} PRIVATE
      -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    # (Where ASan looks for uses of variables after their function's return, GCC 14 stores vectors of
    # 64 bytes by aligned instructions where they are not.)
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:--param=asan-use-after-return=0>)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
    target_compile_definitions(${target} PRIVATE _GLIBCXX_ASSERTIONS)
  endif()
endfunction()
