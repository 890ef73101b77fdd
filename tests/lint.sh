#!/usr/bin/env bash
# clang-tidy over every room: the batches of files that the preset `release` compiles, two at a time. Needs a configured build/release.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v clang-tidy > /dev/null; then
  if ((EUID != 0)) || ! command -v apt-get > /dev/null; then
    echo "lint.sh: clang-tidy is not there; install it (Debian: clang-tidy)" >&2
    exit 1
  fi
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends clang-tidy
fi
[[ -f build/release/compile_commands.json ]] || cmake --preset release
# what is compiled, without what only tests have
mapfile -t units < <(sed -n 's|^ *"file": "\(.*\)".*|\1|p' build/release/compile_commands.json | grep -v '/tests/')
echo "lint.sh: ${#units[@]} units"
printf '%s\0' "${units[@]}" | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/release --quiet --warnings-as-errors='*'
