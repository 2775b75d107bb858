# cmake -D build=... -D target=... -D source=... -P check.cmake: the target fails to build, and the
# compiler says what the source's `// expect: REGEX` wants.
file(STRINGS ${source} expected REGEX "^// expect: ")
if(NOT expected)
  message(FATAL_ERROR "${source} has no line `// expect: REGEX`")
endif()
string(REGEX REPLACE "^// expect: *" "" expected "${expected}")
execute_process(COMMAND ${CMAKE_COMMAND} --build ${build} --target ${target}
  RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
if(result EQUAL 0)
  message(FATAL_ERROR "${source} compiles, but it must not")
endif()
string(REGEX REPLACE "[ \t\r\n]+" " " words "${output}")
if(NOT words MATCHES "${expected}")
  message(FATAL_ERROR "${source} does not compile, but nothing matches \"${expected}\" in:\n${output}")
endif()
