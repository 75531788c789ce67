# What `cmake --install` lays down: the public headers, libqiao_engine.so, and the package that find_package(qiao)
# reads. The plugins and the command are installed where they are made. The package offers
#   qiao::engine    the library behind qiao/engine.h, for programs that run models
#   qiao::headers   the headers alone, for plugins
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(exports ${CMAKE_CURRENT_LIST_DIR}/qiao_engine.map)
target_link_libraries(qiao_engine PUBLIC qiao_headers)
target_compile_features(qiao_engine PUBLIC cxx_std_20)
target_link_options(qiao_engine PRIVATE LINKER:--version-script=${exports})
set_target_properties(qiao_engine PROPERTIES
  EXPORT_NAME engine LINK_DEPENDS ${exports}
  # Until 1.0 every minor version may change the ABI.
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
add_library(qiao::engine ALIAS qiao_engine)

install(TARGETS qiao_headers qiao_engine EXPORT qiao_targets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/include/qiao DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/qiao)
install(EXPORT qiao_targets FILE qiao-targets.cmake NAMESPACE qiao:: DESTINATION ${package})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/qiao-config.cmake.in ${PROJECT_BINARY_DIR}/qiao-config.cmake
  INSTALL_DESTINATION ${package} PATH_VARS CMAKE_INSTALL_LIBDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/qiao-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/qiao-config.cmake ${PROJECT_BINARY_DIR}/qiao-config-version.cmake
  DESTINATION ${package})
