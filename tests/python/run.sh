#!/usr/bin/env bash
# Builds the Python package into a virtual environment of its own and runs its tests and examples; what tests/run.sh --python does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=${NAMM_TRANSFORMERS:-} kvpress=${NAMM_KVPRESS:-}
environment=build/python-tests${version:+-$version}${kvpress:+-kvpress-$kvpress}
python=$environment/bin/python
SECONDS=0
bash cmake/setup.sh --packages-only
if [[ ! -x $python ]]; then
  "${PYTHON:-python3}" -m venv "$environment"
fi
"$python" -m pip install -q torch pytest nbclient ipykernel "transformers${version:+==$version}" ${kvpress:+"kvpress==$kvpress"}
echo "== environment: $SECONDS s"
"$python" -m pip install -q --force-reinstall --no-deps .
echo "== environment and package: $SECONDS s"
OMP_NUM_THREADS=1 "$python" -m pytest -q -p no:cacheprovider tests/python
echo "== tests of the Python package passed, $SECONDS s in all"
