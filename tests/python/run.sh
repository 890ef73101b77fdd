#!/usr/bin/env bash
# Builds the Python package into a virtual environment of its own and runs its tests and examples; what tests/run.sh --python does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${NAMM_TRANSFORMERS:-} kvpress=${NAMM_KVPRESS:-}
environment=build/python-tests${version:+-$version}${kvpress:+-kvpress-$kvpress}
python=$environment/bin/python
SECONDS=0
bash cmake/setup.sh --packages-only
# Debian splits these off its Python
if ! "${PYTHON:-python3}" -c 'import ensurepip, os, sysconfig; assert os.path.exists(sysconfig.get_path("include") + "/Python.h")' 2> /dev/null &&
  ((EUID == 0)) && command -v apt-get > /dev/null; then
  apt-get update -q
  DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv python3-dev
fi
if [[ ! -x $python ]]; then
  "${PYTHON:-python3}" -m venv "$environment"
fi
# torch's CUDA libraries are 5 GB: uv fetches and unpacks them side by side, in under a minute where pip took 17
"$python" -m pip install -q uv
install=("$python" -m uv pip install -q --python "$python")
"${install[@]}" torch pytest nbclient ipykernel "transformers${version:+==$version}" ${kvpress:+"kvpress==$kvpress"}
echo "== environment: $SECONDS s"
"${install[@]}" --reinstall-package namm --refresh-package namm --no-deps .
echo "== environment and package: $SECONDS s"
OMP_NUM_THREADS=1 "$python" -m pytest -q -p no:cacheprovider --durations=12 tests/python
echo "== tests of the Python package passed, $SECONDS s in all"
