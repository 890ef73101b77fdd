# cmake -DSOURCE=<tree> -DOUTPUT=<header> -P WriteCommit.cmake: the commit of the tree, with "-dirty" behind it if a file that git
# knows was changed. Written only where it differs, so that nothing is compiled for nothing.
cmake_minimum_required(VERSION 3.25)
execute_process(COMMAND git -C ${SOURCE} describe --always --abbrev=12 --dirty --exclude *
  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT commit)
  set(commit "unknown")  # a tree without its history
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define NAMM_COMMIT \"@commit@\"\n" @ONLY)
