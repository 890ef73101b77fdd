#!/usr/bin/env bash
# Registers and spills of every CUDA kernel on every architecture, as ptxas reports them, beside the stored table.
#   bash kernels/cuda_registers.sh            compares with kernels/cuda_registers.txt; exit code 1 if something differs
#   bash kernels/cuda_registers.sh --update   writes the table
# The table belongs to one version of nvcc; with another one only spills count. Needs nvcc, no GPU.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-}" in
  "" | --update) ;;
  *) echo "cuda_registers.sh: must be called with --update or nothing, was given \"$1\"" >&2; exit 2 ;;
esac
command -v nvcc > /dev/null || { echo "cuda_registers.sh: needs nvcc, which is not in PATH; install the CUDA toolkit" >&2; exit 1; }

table=kernels/cuda_registers.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

codes=()
for sm in 75 80 86 89 90 100 120; do codes+=(-gencode "arch=compute_$sm,code=sm_$sm"); done
for source in kernels/*_cuda.cu; do
  nvcc -std=c++20 -O3 -I. -Iinclude "${codes[@]}" --threads 0 -Xptxas -v -c "$source" -o "$work/object.o" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  # three lines per kernel and architecture: its name, its stack and spills, its registers
  awk -v file="$(basename "$source" _cuda.cu)" '
    /Compiling entry function/ { split($0, part, "\047"); name = part[2]; sm = part[4] }
    /spill stores/ { spills = $0; sub(/.*frame, /, "", spills); split(spills, number, " "); stores = number[1]; loads = number[5] }
    /Used [0-9]+ registers/ { match($0, /Used [0-9]+/); print sm, file, name, substr($0, RSTART + 5, RLENGTH - 5), stores, loads }
  ' "$work/log" >> "$work/lines"
done
{
  echo "# $(nvcc --version | sed -n 's/.*release \([0-9.]*\).*/nvcc \1/p'): architecture, file, kernel, registers, bytes of spill stores, of spill loads"
  c++filt < "$work/lines" | sed 's/void namm::kernels::(anonymous namespace)::/ /; s/namm::kernels::(anonymous namespace):://; s/([^()]*)//g; s/namm::kernels:://g; s/  */ /g' | sort -V
} > "$work/table"

if [[ "${1:-}" == --update ]]; then
  cp "$work/table" "$table"
  echo "$table: $(($(wc -l < "$table") - 1)) kernels"
  exit 0
fi
if grep -v '^#' "$work/table" | grep -v ' 0 0$'; then
  echo "cuda_registers.sh: kernels must not spill registers, those above do; give them less to hold" >&2
  exit 1
fi
if [[ "$(head -n 1 "$table")" != "$(head -n 1 "$work/table")" ]]; then
  echo "cuda_registers.sh: the table is of another nvcc; no kernel spills with this one"
  exit 0
fi
diff "$table" "$work/table" || { echo "cuda_registers.sh: register counts must be those of $table, differ as above; look why, then --update" >&2; exit 1; }
echo "cuda_registers.sh: registers as in $table, no spills"
