#!/usr/bin/env bash
# pkg_config.sh SOURCE PROGRAM: builds with what pkg-config says and runs it.
set -euo pipefail
# shellcheck disable=SC2046,SC2086  # lists of flags
"${CXX:-c++}" -std=c++20 ${CXXFLAGS:-} "$1" -o "$2" $(pkg-config --cflags --libs namm)
"$2"
