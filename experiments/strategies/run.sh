#!/usr/bin/env bash
# run.sh [BUILD] [large|small]: the tables of README.md, on two cores about 3 and 2 minutes.
set -euo pipefail
build=${1:-build/release}
cmake --build "$build" --target quadratics >&2
row() { printf '%s\n' "$*"; }
{
  if [ "${2:-large}" = large ]; then
    for distance in 0.1 0.3 0.4 1; do
      for population in 16 32; do
        for noise in 1 0.1; do row 4172 $population 400 100 $distance $noise 3 sep-cma sep-cma-tpa cr-fm-nes es; done
      done
    done
  fi
  if [ "${2:-small}" = small ]; then
    for shape in "9 12 30" "36 14 60" "100 16 100" "300 20 100"; do
      for condition in 100 -100; do
        for noise in 1 0.1; do row $shape $condition 0.3 $noise 9 cma sep-cma sep-cma-tpa cr-fm-nes es; done
      done
    done
  fi
} | xargs -P 2 -L 1 "$build/experiments/strategies/quadratics" | sort -t'|' -k2,2n -k6,6n -k5,5n -k3,3n -k7,7nr
