# One room of the source tree = one static library namm_<name> with the alias namm::<name>.
#   COMPONENT: what it is installed with, core, strategies, llama or program (default). HEADERS_OF: header-only libraries.
#   COLD: flags, files and text, where nobody waits for the code: a fifth to a third less time to compile.
#   namm_room(core COMPONENT core SOURCES a.cpp b.cpp LINK namm::kernels PRIVATE_LINK spdlog::spdlog HEADERS_OF namm_eigen)
add_library(namm_warnings INTERFACE)
target_compile_options(namm_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
  $<$<CXX_COMPILER_ID:Clang>:-Wno-pass-failed>  # loops that it does not vectorise, at -O1 all
  $<$<BOOL:${NAMM_WERROR}>:-Werror>)

if(NAMM_SANITIZE OR NAMM_FUZZ)
  # -O1 -g1: half the time to compile of -O2 -g, and traces still have lines
  add_compile_options(-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    set(others ${PROJECT_SOURCE_DIR}/tests/support/libraries_of_others.txt)
    add_compile_options(-fsanitize-ignorelist=${others})
  endif()
  if(NAMM_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link -fsanitize-coverage-ignorelist=${others})
    add_compile_definitions(HWY_COMPILE_ONLY_STATIC)  # kernels for one instruction set: a fifth of the time to compile
  elseif(others)
    # our libraries are loaded into programs that are not instrumented: the runtime is a shared library, as GCC's is
    execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-runtime-dir OUTPUT_VARIABLE runtimes OUTPUT_STRIP_TRAILING_WHITESPACE)
    add_link_options(-shared-libasan -Wl,-rpath,${runtimes})
  endif()
elseif(NAMM_TSAN)
  add_compile_options(-O1 -g1 -fsanitize=thread -fno-omit-frame-pointer)
  add_link_options(-fsanitize=thread)
endif()

# Eigen as every room uses it. Products that OpenMP shares out have other last bits with other numbers of threads; and a program
# that links us may use Eigen otherwise compiled, so ours has a name of its own.
add_library(namm_eigen INTERFACE)
target_link_libraries(namm_eigen INTERFACE Eigen3::Eigen)
target_compile_definitions(namm_eigen INTERFACE EIGEN_DONT_PARALLELIZE Eigen=namm_eigen)

function(namm_room name)
  cmake_parse_arguments(ROOM "COLD" "COMPONENT" "SOURCES;LINK;PRIVATE_LINK;HEADERS_OF" ${ARGN})
  if(NOT ROOM_COMPONENT)
    set(ROOM_COMPONENT program)
  endif()
  add_library(namm_${name} STATIC ${ROOM_SOURCES})
  add_library(namm::${name} ALIAS namm_${name})
  set_target_properties(namm_${name} PROPERTIES EXPORT_NAME ${name})
  target_include_directories(namm_${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_compile_features(namm_${name} PUBLIC cxx_std_20)
  if(ROOM_COLD)
    target_compile_options(namm_${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
  target_link_libraries(namm_${name} PUBLIC ${ROOM_LINK} PRIVATE ${ROOM_PRIVATE_LINK} $<BUILD_INTERFACE:namm_warnings>)
  # of libraries that are nothing but headers: no matter of who links an installed room
  set(scope PRIVATE)
  if(ROOM_COMPONENT STREQUAL "program")
    set(scope PUBLIC)  # rooms of ours share headers that need them
  endif()
  foreach(headers IN LISTS ROOM_HEADERS_OF)
    target_link_libraries(namm_${name} ${scope} $<BUILD_INTERFACE:${headers}>)
  endforeach()
  set_property(GLOBAL APPEND PROPERTY NAMM_ROOMS_OF_${ROOM_COMPONENT} namm_${name})
endfunction()

# One test program per room. Catch2 2 and 3 differ in target and header; tests/check.hpp hides the header.
#   namm_test(core SOURCES a.cpp LINK namm::core)
function(namm_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINK" ${ARGN})
  add_executable(namm_test_${name} ${TEST_SOURCES})
  target_link_libraries(namm_test_${name} PRIVATE ${TEST_LINK} namm_test_main namm_warnings)
  # the tests themselves need not be fast, and Catch2's macros are slow to optimise, even more so instrumented
  target_compile_options(namm_test_${name} PRIVATE $<IF:$<BOOL:${NAMM_SANITIZE}>,-O0,$<$<CONFIG:Release>:-O1>>)
  target_compile_definitions(namm_test_${name} PRIVATE
    NAMM_SOURCE_DIR="${PROJECT_SOURCE_DIR}" NAMM_BINARY_DIR="${PROJECT_BINARY_DIR}")
  add_test(NAME ${name} COMMAND namm_test_${name})
  set_tests_properties(${name} PROPERTIES ENVIRONMENT "XDG_CACHE_HOME=${PROJECT_BINARY_DIR}/cache")
endfunction()
