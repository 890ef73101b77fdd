# Finds llama.cpp: a source folder (NAMM_LLAMA_SOURCE), else an installed one. cmake/setup.sh installs the pinned version to
# build/llama, which is looked at first. The adapter is a ggml backend and needs ggml-backend-impl.h, which llama.cpp does
# not install; setup.sh puts it beside the other headers.
if(NAMM_LLAMA_SOURCE)
  if(NOT EXISTS ${NAMM_LLAMA_SOURCE}/ggml/src/ggml-backend-impl.h)
    message(FATAL_ERROR "NAMM_LLAMA_SOURCE: must be a llama.cpp source folder, is '${NAMM_LLAMA_SOURCE}', which has no "
      "ggml/src/ggml-backend-impl.h.")
  endif()
  foreach(part COMMON TESTS TOOLS EXAMPLES SERVER APP)
    set(LLAMA_BUILD_${part} OFF)
  endforeach()
  set(LLAMA_OPENSSL OFF)
  add_subdirectory(${NAMM_LLAMA_SOURCE} ${PROJECT_BINARY_DIR}/llama.cpp EXCLUDE_FROM_ALL SYSTEM)
  get_directory_property(LLAMA_VERSION DIRECTORY ${NAMM_LLAMA_SOURCE} DEFINITION LLAMA_VERSION)
  set(NAMM_GGML_IMPL_DIR ${NAMM_LLAMA_SOURCE}/ggml/src)
  set(NAMM_LLAMA_TARGETS llama ggml ggml-base)
else()
  list(PREPEND CMAKE_PREFIX_PATH ${PROJECT_SOURCE_DIR}/build/llama)
  find_package(llama QUIET CONFIG)
  if(NOT llama_FOUND)
    message(FATAL_ERROR "llama.cpp: not found. Run 'bash cmake/setup.sh' (builds the pinned version), or give "
      "-DCMAKE_PREFIX_PATH=<an installed llama.cpp>, or -DNAMM_LLAMA_SOURCE=<a source folder>.")
  endif()
  find_path(NAMM_GGML_IMPL_DIR ggml-backend-impl.h HINTS ${LLAMA_INCLUDE_DIR})
  if(NOT NAMM_GGML_IMPL_DIR)
    message(FATAL_ERROR "llama.cpp: the header ggml-backend-impl.h is not installed with it. Give "
      "-DNAMM_GGML_IMPL_DIR=<llama.cpp source>/ggml/src of the same version.")
  endif()
  message(STATUS "llama.cpp ${LLAMA_VERSION}: ${LLAMA_LIB_DIR}")
  set(NAMM_LLAMA_TARGETS llama ggml::ggml ggml::ggml-base)
endif()
