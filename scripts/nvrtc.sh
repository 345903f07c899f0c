#!/usr/bin/env bash
# Installs NVRTC, the compiler of GPU kernels, into a folder: `scripts/nvrtc.sh FOLDER`, then `export SERIN_NVRTC=FOLDER`.
# With it the tests compile every kernel; it needs no GPU and no CUDA toolkit.
set -euo pipefail
if [ $# -ne 1 ]; then
    echo "usage: $0 FOLDER" >&2
    exit 2
fi
python3 -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target "$1" 'nvidia-cuda-nvrtc==13.0.*'
