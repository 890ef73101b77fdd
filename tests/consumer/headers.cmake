# cmake -DPREFIX=<installed> -DSOURCE=<tree> -P headers.cmake: fails unless include/ holds the public headers and nothing else.
file(GLOB_RECURSE installed RELATIVE ${PREFIX}/include ${PREFIX}/include/*)
file(GLOB_RECURSE public RELATIVE ${SOURCE}/include ${SOURCE}/include/*)
if(NOT installed STREQUAL public)
  message(FATAL_ERROR "installed: ${installed}\npublic: ${public}")
endif()
