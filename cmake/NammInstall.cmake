# Installs the public headers, the rooms behind them, the program and the package files, so that another project says
#   find_package(namm REQUIRED COMPONENTS llama)
#   target_link_libraries(app PRIVATE namm::llama)
# One export per component, read in this order: c, core, strategies, llama, program.
include(CMakePackageConfigHelpers)
set(NAMM_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/namm)

# The pinned llama.cpp of build/llama goes along, in a folder of its own: nobody else's llama.cpp is touched.
set(NAMM_LLAMA_BUNDLE "")
if(NAMM_WITH_LLAMA AND LLAMA_LIB_DIR STREQUAL "${PROJECT_SOURCE_DIR}/build/llama/lib")
  set(NAMM_LLAMA_BUNDLE ${CMAKE_INSTALL_LIBDIR}/namm/llama)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/build/llama/ DESTINATION ${NAMM_LLAMA_BUNDLE} USE_SOURCE_PERMISSIONS)
endif()

set(NAMM_COMPONENTS "")
foreach(component c core strategies llama program)
  get_property(rooms GLOBAL PROPERTY NAMM_ROOMS_OF_${component})
  # what is built with a llama.cpp of the including project belongs to no package that others could find
  if(NOT rooms OR (NAMM_LLAMA_IS_A_TARGET AND component MATCHES "llama|program"))
    continue()
  endif()
  list(APPEND NAMM_COMPONENTS ${component})
  install(TARGETS ${rooms} EXPORT namm_${component}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT namm_${component} NAMESPACE namm:: DESTINATION ${NAMM_CMAKE_DIR} FILE namm-${component}.cmake)
endforeach()
set(others "")
if(NOT "llama" IN_LIST NAMM_COMPONENTS)
  set(others PATTERN llama.hpp EXCLUDE)
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/namm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} ${others})

if(TARGET namm AND "program" IN_LIST NAMM_COMPONENTS)
  file(RELATIVE_PATH bin_to_root /${CMAKE_INSTALL_BINDIR} /)
  if(NAMM_LLAMA_BUNDLE)
    set_target_properties(namm PROPERTIES INSTALL_RPATH "$ORIGIN/${bin_to_root}${NAMM_LLAMA_BUNDLE}/lib")
  elseif(NAMM_WITH_LLAMA)
    set_target_properties(namm PROPERTIES INSTALL_RPATH "${LLAMA_LIB_DIR}")
  endif()
  install(TARGETS namm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  # written by the program itself, from what its help texts are made of
  if(NOT CMAKE_CROSSCOMPILING)
    set(pages ${PROJECT_BINARY_DIR}/pages)
    add_custom_command(OUTPUT ${pages}/namm.bash ${pages}/_namm ${pages}/man1/namm.1
      COMMAND ${CMAKE_COMMAND} -E make_directory ${pages}
      COMMAND namm completion bash > ${pages}/namm.bash
      COMMAND namm completion zsh > ${pages}/_namm
      COMMAND namm man ${pages}/man1 --quiet
      DEPENDS namm COMMENT "Man pages and completions" VERBATIM)
    add_custom_target(namm_pages ALL DEPENDS ${pages}/namm.bash ${pages}/_namm ${pages}/man1/namm.1)
    # optional: who built the program alone has none
    install(DIRECTORY ${pages}/man1 DESTINATION ${CMAKE_INSTALL_MANDIR} OPTIONAL)
    install(FILES ${pages}/namm.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME namm OPTIONAL)
    install(FILES ${pages}/_namm DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions OPTIONAL)
  endif()
endif()

if(TARGET namm_module AND NOT NAMM_LLAMA_IS_A_TARGET)
  # beside each other, and found by `namm attach` from the program's own place
  set_target_properties(namm_module PROPERTIES INSTALL_RPATH "")
  install(TARGETS namm_preload namm_module LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/namm)
endif()

configure_package_config_file(cmake/nammConfig.cmake.in ${PROJECT_BINARY_DIR}/nammConfig.cmake
  INSTALL_DESTINATION ${NAMM_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nammConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nammConfig.cmake ${PROJECT_BINARY_DIR}/nammConfigVersion.cmake
  DESTINATION ${NAMM_CMAKE_DIR})

# pkg-config: folders are found from the file's own place, so that the prefix may be moved
file(RELATIVE_PATH NAMM_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/namm.pc.in ${PROJECT_BINARY_DIR}/namm.pc @ONLY)
configure_file(cmake/namm-c.pc.in ${PROJECT_BINARY_DIR}/namm-c.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/namm.pc ${PROJECT_BINARY_DIR}/namm-c.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
if("llama" IN_LIST NAMM_COMPONENTS)
  set(NAMM_PC_LLAMA "${LLAMA_LIB_DIR}")
  set(NAMM_PC_LLAMA_INCLUDE "${LLAMA_INCLUDE_DIR}")
  if(NAMM_LLAMA_BUNDLE)
    set(NAMM_PC_LLAMA "\${prefix}/${NAMM_LLAMA_BUNDLE}/lib")
    set(NAMM_PC_LLAMA_INCLUDE "\${prefix}/${NAMM_LLAMA_BUNDLE}/include")
  endif()
  # not `Requires: spdlog`: its flags would become those of who links us
  find_package(spdlog REQUIRED)
  set(NAMM_PC_SPDLOG "-lspdlog")
  get_target_property(definitions spdlog::spdlog INTERFACE_COMPILE_DEFINITIONS)
  if("SPDLOG_FMT_EXTERNAL" IN_LIST definitions)
    string(APPEND NAMM_PC_SPDLOG " -lfmt")
  endif()
  configure_file(cmake/namm-llama.pc.in ${PROJECT_BINARY_DIR}/namm-llama.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/namm-llama.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
