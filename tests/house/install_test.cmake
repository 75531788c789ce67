# Installs BUILD into a folder of its own and uses nothing but that folder: a program built with find_package(qiao), the
# null plugin built from a copy of its folder, and the installed command. Also what the shared library exports.
cmake_minimum_required(VERSION 3.22)

set(prefix ${WORK}/prefix)
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})
unset(ENV{QIAO_BACKEND_PATH})  # the plugins must be found where they were installed

# run(WHAT COMMAND...): fails the test where the command fails; its output is in `output`.
function(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE out ERROR_VARIABLE err)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${what} failed (${status}):\n${out}\n${err}")
  endif()
  set(output "${out}" PARENT_SCOPE)
endfunction()

run("cmake --install" ${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})

# ---- what lies where ----
foreach(file bin/infer include/qiao/engine.h include/qiao/backend.h include/qiao/backend.hpp include/qiao/ops.h
        ${LIBDIR}/libqiao_engine.so ${LIBDIR}/qiao/libqiao_backend_cpu.so ${LIBDIR}/qiao/libqiao_backend_reference.so
        ${LIBDIR}/qiao/libqiao_backend_null.so ${LIBDIR}/cmake/qiao/qiao-config.cmake
        ${LIBDIR}/cmake/qiao/qiao-config-version.cmake
        ${LIBDIR}/qiao/cann-emulator/NOTICE ${LIBDIR}/qiao/cann-emulator/lib64/libacl_op_compiler.so)
  if(NOT EXISTS ${prefix}/${file})
    message(FATAL_ERROR "cmake --install did not install ${file}")
  endif()
endforeach()
file(GLOB_RECURSE archives ${prefix}/*.a)
if(archives)
  message(FATAL_ERROR "static libraries are not for embedders: ${archives}")
endif()

# ---- the exports are the API and nothing else ----
run("nm" ${NM} -D -C --defined-only ${prefix}/${LIBDIR}/libqiao_engine.so)
string(REGEX REPLACE "\n$" "" output "${output}")
string(REPLACE "[abi:cxx11]" "" output "${output}")  # brackets would join what a list separates
string(REPLACE ";" "," output "${output}")
string(REPLACE "\n" ";" symbols "${output}")
foreach(symbol IN LISTS symbols)
  string(REGEX REPLACE "^[0-9a-f]+ [A-Za-z] " "" symbol "${symbol}")
  if(NOT symbol MATCHES "^qiao::(Engine::[A-Za-z~]+|CancelToken::[A-Za-z]+|Version)\\(")
    message(FATAL_ERROR "libqiao_engine.so exports \"${symbol}\", which qiao/engine.h does not declare")
  endif()
endforeach()
foreach(name Engine::Load Engine::~Engine Engine::Generate Engine::Tokenize Engine::MostPromptBytes Engine::Detokenize Engine::TokenBytes Engine::RenderChat
        Engine::HasChatTemplate Engine::ChatTemplateSource
        Engine::RecommendedSampling Engine::model Engine::memory Engine::device Engine::context
        CancelToken::CancelToken CancelToken::Cancel CancelToken::cancelled Version)
  if(NOT output MATCHES "qiao::${name}\\(")
    message(FATAL_ERROR "libqiao_engine.so does not export qiao::${name}: see tools/cmake/qiao_engine.map")
  endif()
endforeach()

# ---- strangers' projects ----
set(options -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_C_COMPILER=${C_COMPILER} -DCMAKE_CXX_COMPILER=${CXX_COMPILER})
if(ASAN)
  list(APPEND options "-DCMAKE_CXX_FLAGS=-fsanitize=address,undefined")
endif()

file(COPY ${ROOT}/tests/house/consumer DESTINATION ${WORK})
run("configuring the consumer" ${CMAKE_COMMAND} -S ${WORK}/consumer -B ${WORK}/consumer-build ${options})
run("building the consumer" ${CMAKE_COMMAND} --build ${WORK}/consumer-build)
run("the consumer" ${CMAKE_COMMAND} -E chdir ${ROOT} ${WORK}/consumer-build/consumer)
string(STRIP "${output}" text)
string(LENGTH "${text}" length)
if(length LESS 40)
  message(FATAL_ERROR "the consumer printed only \"${text}\"")
endif()
run("the serving consumer" ${CMAKE_COMMAND} -E chdir ${ROOT} ${WORK}/consumer-build/serve "SQLite is a"
  "In the beginning" "The function returns" "A transaction" "A view is")
if(NOT output MATCHES "In the beginning.*\n80 tokens")
  message(FATAL_ERROR "the serving consumer printed \"${output}\"")
endif()

# The CANN emulator's tree as a toolkit, by a client in C that finds nothing but it.
set(toolkit ${prefix}/${LIBDIR}/qiao/cann-emulator)
file(WRITE ${WORK}/toolkit.c "#include <acl/acl.h>
#include <stdio.h>
int main(void) {
  void* memory = 0;
  int failed = aclInit(0) || aclrtSetDevice(0) || aclrtMalloc(&memory, 64, ACL_MEM_MALLOC_HUGE_FIRST) || aclrtFree(memory);
  printf(\"%s %d\\n\", aclrtGetSocName(), failed);
  return failed;
}
")
set(sanitize "")
if(ASAN)
  set(sanitize -fsanitize=address,undefined)
endif()
run("compiling a client of the CANN emulator" ${C_COMPILER} ${sanitize} ${WORK}/toolkit.c -I${toolkit}/include
  -L${toolkit}/lib64 -lascendcl -lacl_op_compiler -Wl,-rpath,${toolkit}/lib64 -o ${WORK}/toolkit)
run("the client of the CANN emulator" ${WORK}/toolkit)
if(NOT output STREQUAL "Ascend910B4 0\n")
  message(FATAL_ERROR "the client of the CANN emulator printed \"${output}\"")
endif()

file(COPY ${ROOT}/backends/null DESTINATION ${WORK})
run("configuring the null plugin" ${CMAKE_COMMAND} -S ${WORK}/null -B ${WORK}/null-build ${options})
run("building the null plugin" ${CMAKE_COMMAND} --build ${WORK}/null-build)
file(REMOVE ${prefix}/${LIBDIR}/qiao/libqiao_backend_null.so)
run("installing the null plugin" ${CMAKE_COMMAND} --install ${WORK}/null-build --prefix ${prefix})
run("infer backends" ${prefix}/bin/infer backends)
foreach(backend cpu reference null)
  if(NOT output MATCHES "${backend}")
    message(FATAL_ERROR "the installed infer does not find the backend ${backend}:\n${output}")
  endif()
endforeach()
