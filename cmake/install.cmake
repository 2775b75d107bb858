# Installs the headers and the package that find_package(delta_attention) reads.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_DATADIR}/cmake/delta_attention)
configure_package_config_file(cmake/delta_attentionConfig.cmake.in
  ${PROJECT_BINARY_DIR}/delta_attentionConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/delta_attentionConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)

install(TARGETS delta_attention EXPORT delta_attentionTargets)
install(EXPORT delta_attentionTargets
  NAMESPACE delta_attention::
  DESTINATION ${package_dir})
install(DIRECTORY include/delta_attention DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp")
install(FILES
  cmake/hopper.cmake
  ${PROJECT_BINARY_DIR}/delta_attentionConfig.cmake
  ${PROJECT_BINARY_DIR}/delta_attentionConfigVersion.cmake
  DESTINATION ${package_dir})
