# How each dependency is found. All are Debian 12 packages; `tools/start` installs them (tools/packages.txt).
include(GNUInstallDirs)

find_package(Threads REQUIRED)
find_package(absl REQUIRED)            # libabsl-dev: status, containers, strings, time
find_package(nlohmann_json REQUIRED)   # nlohmann-json3-dev: JSON
find_package(PkgConfig REQUIRED)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)  # libhwy-dev: SIMD with run-time dispatch
# libdnnl-dev: oneDNN's header. The library itself is loaded only where it is asked for (kernels/cpu/library_gemm.h).
find_path(QIAO_DNNL_INCLUDE dnnl.h REQUIRED)
# libflatbuffers-dev, flatbuffers-compiler: headers of .qiao files. Headers only; flatc runs during the build, because
# what it makes fits the headers of its own version only.
find_path(QIAO_FLATBUFFERS_INCLUDE flatbuffers/flatbuffers.h REQUIRED)
find_program(QIAO_FLATC flatc REQUIRED)
find_path(QIAO_XXHASH_INCLUDE xxhash.h REQUIRED)  # libxxhash-dev: checksums, compiled in
pkg_check_modules(ICU REQUIRED IMPORTED_TARGET icu-uc)  # libicu-dev: Unicode normal forms

# libboost-dev: Asio and Beast, headers only: HTTP. What of them is no template is compiled once, in qiao_boost. All
# that use them link it: in one program their definitions must be the same everywhere.
find_path(QIAO_BOOST_INCLUDE boost/beast.hpp REQUIRED)
add_library(qiao_boost STATIC ${CMAKE_CURRENT_LIST_DIR}/boost/sources.cc)
target_include_directories(qiao_boost SYSTEM PUBLIC ${QIAO_BOOST_INCLUDE})
target_compile_definitions(qiao_boost PUBLIC
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
  BOOST_ERROR_CODE_HEADER_ONLY BOOST_BEAST_USE_STD_STRING_VIEW)
target_link_libraries(qiao_boost PUBLIC Threads::Threads)
if(QIAO_TSAN)
  # Its fences are not seen by the sanitizer; the locks beside them are.
  target_compile_definitions(qiao_boost PUBLIC BOOST_ASIO_DISABLE_FENCED_BLOCK)
endif()

# prometheus-cpp-dev: counters and histograms, and their text format.
find_package(prometheus-cpp REQUIRED COMPONENTS core)

if(QIAO_BUILD_TOOLS)
  find_package(spdlog REQUIRED)  # libspdlog-dev: logs
  find_package(CLI11 REQUIRED)   # libcli11-dev: subcommands and options
endif()
