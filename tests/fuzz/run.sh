#!/usr/bin/env bash
# Looks for files that break a reader, with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer.
set -euo pipefail

usage() {
  cat <<'HELP'
usage: bash tests/fuzz/run.sh [--executions N] [--seconds N] [--jobs N] [TARGET...]

  --executions N   of each target, 1,000,000 by default; 1 sees whether they build and read their seeds
  --seconds N      at most, of each target; without it the executions are all there is
  --jobs N         of the build, 1 by default: a file under three sanitizers can take 2 GB
  TARGET           all by default; 'list' names them

What is found is written to build/fuzz/found and ends the run with code 1. Put the file into tests/fuzz/cases/TARGET: the test reads
it from then on. Corpora stay in build/fuzz/corpus. Needs Clang (bash cmake/setup.sh --with-clang).
HELP
}

executions=1000000 seconds=0 jobs=1 targets=()
while (($#)); do
  case $1 in
    --executions) executions=${2:?--executions needs a number}; shift ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --jobs) jobs=${2:?--jobs needs a number}; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) echo "run.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
cmake --preset fuzz > /dev/null
cmake --build --preset fuzz -j "$jobs"
fuzz=build/fuzz/tests/fuzz/namm_fuzz
names=$(NAMM_FUZZ_TARGET=list "$fuzz")
if [[ ${targets[*]} == list ]]; then echo "$names"; exit 0; fi
((${#targets[@]})) || mapfile -t targets <<< "$names"
mkdir -p build/fuzz/found
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  seeds=$(mktemp -d)
  mkdir -p "$corpus" "tests/fuzz/cases/$target"
  echo "== $target"
  # -timeout and -rss_limit_mb: time and memory are bounded by the size of a file
  NAMM_FUZZ_TARGET=$target NAMM_FUZZ_SEEDS=$seeds OMP_NUM_THREADS=1 "$fuzz" \
    -runs="$executions" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="build/fuzz/found/$target-" "$corpus" "$seeds" "tests/fuzz/cases/$target"
  rm -rf "$seeds"
  rmdir --ignore-fail-on-non-empty "tests/fuzz/cases/$target"
done
