#!/usr/bin/env bash
# Builds the CPU backend's tests for AArch64 and runs them under QEMU, so that NEON's kernels run on a machine that has none.
#
#   scripts/neon.sh [TEST NAME OR OTHER ARGUMENT OF THE TEST BINARIES ...]
#
# Takes `rustup target add aarch64-unknown-linux-gnu` and, on Debian, `apt install qemu-user gcc-aarch64-linux-gnu`. QEMU computes floats
# in software: `scripts/neon.sh simd::` takes half a minute once it is built, everything about half an hour.
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
for program in qemu-aarch64 aarch64-linux-gnu-gcc; do
    if ! command -v "$program" >/dev/null; then
        echo "$program was not found; on Debian: apt install qemu-user gcc-aarch64-linux-gnu" >&2
        exit 1
    fi
done
if [[ ! -d "$(rustc --print sysroot)/lib/rustlib/$target" ]]; then
    echo "the standard library for $target is missing: rustup target add $target" >&2
    exit 1
fi
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
cargo test --release --locked --target "$target" -p serin-cpu --lib --test conformance -- --nocapture "$@"
