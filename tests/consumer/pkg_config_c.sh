#!/usr/bin/env bash
# pkg_config_c.sh SOURCE PROGRAM: builds a C program with what pkg-config says and runs it.
set -euo pipefail
# shellcheck disable=SC2046,SC2086  # lists of flags
"${CC:-cc}" -std=c99 ${CFLAGS:-} "$1" -o "$2" $(pkg-config --cflags --libs namm-c) -lm
LD_LIBRARY_PATH=$(pkg-config --variable=libdir namm-c) "$2"
