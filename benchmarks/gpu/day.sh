#!/usr/bin/env bash
# The day of a card: builds, tests and measures on a bare machine with torch, triton, nvcc, cmake and a GPU, without a
# network. One table at the end, in OUT/table.md; each part's log, rows.jsonl and day.json beside it.
#   bash benchmarks/gpu/day.sh [--dry] [OUT]         OUT: day/ if not said. --dry: no GPU, small sizes, no times
# Before, where there is a network and git:
#   git rev-parse --short HEAD > .commit
#   pip download --only-binary=:all: -d wheels soundfile soxr tokenizers typer rich pybind11 pytest hypothesis safetensors
# What of wheels/ the machine has already stays as it is.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec </dev/null
export PYTHONUNBUFFERED=1
python=${PYTHON:-python3}
if [[ -z ${SQE_COMMIT:-} && -f .commit ]]; then
    export SQE_COMMIT=$(<.commit)
fi
if compgen -G 'wheels/*.whl' >/dev/null; then
    for wheel in wheels/*.whl; do # each by itself: one that does not fit keeps out no other
        name=${wheel#wheels/}
        "$python" -m pip show -q "${name%%-*}" 2>/dev/null ||
            "$python" -m pip install -q --no-index --no-deps "$wheel" || echo "not installed: $wheel" >&2
    done
fi
exec "$python" -m benchmarks.gpu.day "$@"
