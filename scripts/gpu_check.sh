#!/usr/bin/env bash
# Proves the GPU path on a machine with PyTorch and CUDA: no SCIP, no registry, under eight minutes. On a machine without
# a GPU it runs to the end all the same, and skips what is the GPU's. Figures go to $OUT, or to runs/gpu-check.
#   bash scripts/gpu_check.sh [--quick]
# What the machine's Python lacks may lie beside the code as wheels (of pydantic, pydantic-core, annotated-types,
# typing-inspection and lightning-fabric, where PyTorch's usual companions are there) in .whl/.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if ! "$python" -c "import lightning_fabric, pydantic" 2>/dev/null && compgen -G ".whl/*.whl" >/dev/null; then
  site=$(mktemp -d)
  "$python" -m pip install --quiet --no-index --no-deps --no-cache-dir --target "$site" .whl/*.whl
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
# As the package sets it, too late here, where PyTorch is imported first: threads sleep while they wait.
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
# Whatever the tests say, the trainings are worth their figures.
tests=0
"$python" -m pytest tests/gpu --quiet -p no:cacheprovider --override-ini addopts= || tests=$?
"$python" -m scripts.gpu_check "$@"
test "$tests" -eq 0 || test "$tests" -eq 5 # 5: nothing to run
