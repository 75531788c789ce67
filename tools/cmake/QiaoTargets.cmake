# How every target of Qiao is made: the language level, the warnings, the include root (the repository's own root,
# so that an include names the folder it crosses into) and hidden visibility. A target lists its exact DEPS.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)

# All programs and plugins of a build lie side by side, so that infer finds the plugins beside itself.
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)

find_program(QIAO_CCACHE ccache)
if(QIAO_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${QIAO_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${QIAO_CCACHE})
endif()

add_library(qiao_options INTERFACE)
target_include_directories(qiao_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/runtime/include)
# -ffp-contract=off: a product and a sum become one fused operation only where a kernel asks for it by name, so that
# what a row computes does not depend on what the compiler noticed.
target_compile_options(qiao_options INTERFACE -Wall -Wextra -ffp-contract=off)
if(NOT QIAO_ASAN AND NOT QIAO_TSAN)  # instrumented code makes GCC see overflows that are not there
  target_compile_options(qiao_options INTERFACE -Werror)
endif()
if(QIAO_ASAN)
  # -O1: with more, the SIMD kernels compile for minutes under the sanitizers and find nothing else.
  add_compile_options(-O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=address,undefined)
endif()
if(QIAO_TSAN)
  add_compile_options(-O1 -fsanitize=thread -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=thread)
endif()
if(QIAO_LIBFUZZER)
  # Coverage of everything that a fuzz target reaches, not of the target's own file only.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# qiao_library(NAME SOURCES... DEPS...): a static library inside the house.
function(qiao_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC qiao_options ${arg_DEPS})
endfunction()

# qiao_backend(NAME SOURCES... DEPS...): a plugin, libqiao_backend_NAME.so, which exports its entry point only.
function(qiao_backend name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_library(qiao_backend_${name} MODULE ${arg_SOURCES})
  target_link_libraries(qiao_backend_${name} PRIVATE qiao_options ${arg_DEPS})
  # GNU-unique symbols of the standard library would keep dlclose from unloading the plugin.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(qiao_backend_${name} PRIVATE -fno-gnu-unique)
  endif()
  target_link_options(qiao_backend_${name} PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined)
  install(TARGETS qiao_backend_${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/qiao)
endfunction()
