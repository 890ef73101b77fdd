# Installs the rooms, their headers, the program and the package files, so that another project says
#   find_package(namm REQUIRED)
#   target_link_libraries(app PRIVATE namm::core)
# Two export sets: rooms that need llama.cpp or what only programs need are loaded only where that is
# found (component `llama`).
include(CMakePackageConfigHelpers)
set(NAMM_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/namm)

# The pinned llama.cpp of build/llama goes along, in a folder of its own: nobody else's llama.cpp is touched.
set(NAMM_LLAMA_BUNDLE "")
if(NAMM_WITH_LLAMA AND NOT NAMM_LLAMA_SOURCE AND LLAMA_LIB_DIR STREQUAL "${PROJECT_SOURCE_DIR}/build/llama/lib")
  set(NAMM_LLAMA_BUNDLE ${CMAKE_INSTALL_LIBDIR}/namm/llama)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/build/llama/ DESTINATION ${NAMM_LLAMA_BUNDLE} USE_SOURCE_PERMISSIONS)
endif()

get_property(rooms GLOBAL PROPERTY NAMM_ROOMS)
set(llama_rooms "")
foreach(room IN LISTS rooms)
  get_target_property(links ${room} LINK_LIBRARIES)
  get_target_property(name ${room} EXPORT_NAME)
  set(export nammTargets)
  foreach(link IN LISTS links)
    if(link STREQUAL "llama" OR link STREQUAL "spdlog::spdlog" OR link STREQUAL "BLAS::BLAS" OR link IN_LIST llama_rooms)
      set(export nammLlamaTargets)
      list(APPEND llama_rooms namm::${name})
      break()
    endif()
  endforeach()
  # targets of a source folder belong to no package that a consumer could find
  if(export STREQUAL "nammLlamaTargets" AND NAMM_LLAMA_SOURCE)
    continue()
  endif()
  install(TARGETS ${room} EXPORT ${export} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endforeach()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/namm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

if(TARGET namm AND NOT NAMM_LLAMA_SOURCE)
  file(RELATIVE_PATH bin_to_root /${CMAKE_INSTALL_BINDIR} /)
  if(NAMM_LLAMA_BUNDLE)
    set_target_properties(namm PROPERTIES INSTALL_RPATH "$ORIGIN/${bin_to_root}${NAMM_LLAMA_BUNDLE}/lib")
  else()
    set_target_properties(namm PROPERTIES INSTALL_RPATH "${LLAMA_LIB_DIR}")
  endif()
  install(TARGETS namm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

if(TARGET namm_module)
  # beside each other, and found by `namm attach` from the program's own place
  set_target_properties(namm_module PROPERTIES INSTALL_RPATH "")
  install(TARGETS namm_preload namm_module LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/namm)
endif()

install(EXPORT nammTargets NAMESPACE namm:: DESTINATION ${NAMM_CMAKE_DIR})
if(llama_rooms AND NOT NAMM_LLAMA_SOURCE)
  install(EXPORT nammLlamaTargets NAMESPACE namm:: DESTINATION ${NAMM_CMAKE_DIR})
endif()
configure_package_config_file(cmake/nammConfig.cmake.in ${PROJECT_BINARY_DIR}/nammConfig.cmake
  INSTALL_DESTINATION ${NAMM_CMAKE_DIR} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nammConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nammConfig.cmake ${PROJECT_BINARY_DIR}/nammConfigVersion.cmake
  DESTINATION ${NAMM_CMAKE_DIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
