#!/usr/bin/env bash
# Installs what is missing, builds and runs the tests.
set -euo pipefail

usage() {
  cat <<'HELP'
usage: bash tests/run.sh [--sanitize | --threads | --python] [CMAKE-OPTION...]

  --sanitize      the preset `sanitize` (AddressSanitizer, UndefinedBehaviorSanitizer) instead of `release`
  --python        the Python package alone, in a virtual environment under build/python-tests; downloads torch (1 GB packed) once.
                  NAMM_TRANSFORMERS=4.57.6, for example, is another version of Transformers in an environment of its own
  --threads       the preset `tsan` (ThreadSanitizer): what runs in threads of our own, without the rest; built by Clang
  CMAKE-OPTION    passed to the configuration, for example -DNAMM_WERROR=ON
HELP
}

preset=release options=() setup=()
while (($#)); do
  case $1 in
    --sanitize) preset=sanitize ;;
    --threads) preset=tsan setup=(--with-clang) ;;
    --python) exec bash "$(dirname "${BASH_SOURCE[0]}")/python/run.sh" ;;
    -h | --help) usage; exit 0 ;;
    -D?*) options+=("$1") ;;
    *) echo "run.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
  esac
  shift
done

cd "$(dirname "${BASH_SOURCE[0]}")/.."
SECONDS=0
bash cmake/setup.sh "${setup[@]}"
echo "== set-up: $SECONDS s"
cmake --preset "$preset" "${options[@]}"
cmake --build --preset "$preset"
echo "== set-up and build of build/$preset: $SECONDS s"
status=0
ctest --preset "$preset" --no-tests=error || status=$?
if ((status)); then
  echo "== tests FAILED after $SECONDS s in all; the log: build/$preset/Testing/Temporary/LastTest.log"
else
  echo "== tests passed, $SECONDS s in all"
fi
exit "$status"
