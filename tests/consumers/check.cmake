# cmake -D way=find_package|add_subdirectory ... -P check.cmake: configures, builds and runs the
# consumer of that name as a user would.
set(source ${CMAKE_CURRENT_LIST_DIR}/${way})
set(binary ${work}/${way})
file(REMOVE_RECURSE ${binary})
execute_process(COMMAND_ERROR_IS_FATAL ANY COMMAND ${CMAKE_COMMAND} -S ${source} -B ${binary}
  -G ${generator} -D CMAKE_BUILD_TYPE=Debug -D CMAKE_CXX_COMPILER=${compiler}
  -D CMAKE_CXX_FLAGS=${flags} -D Kokkos_DIR=${kokkos} -D CMAKE_PREFIX_PATH=${work}/prefix
  -D DELTA_ATTENTION_SOURCE=${main})
execute_process(COMMAND_ERROR_IS_FATAL ANY COMMAND ${CMAKE_COMMAND} --build ${binary})
execute_process(COMMAND_ERROR_IS_FATAL ANY COMMAND ${binary}/consumer)
