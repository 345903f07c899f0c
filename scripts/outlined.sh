#!/bin/sh
# Finds vector intrinsics that a release binary calls as functions, since something between a kernel's `run` and them was not
# inlined: vectors go through memory then, and a kernel takes several times as long.
#
#   cargo build --release && scripts/outlined.sh [BINARY]
#
# Prints how many such calls each of our functions makes; fails if there are any, or if the binary shows no function of ours.
# Needs objdump and c++filt (binutils).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
binary=${1:-${CARGO_TARGET_DIR:-$root/target}/release/serin}
[ -f "$binary" ] || { echo "$binary is not there: cargo build --release makes it" >&2; exit 2; }
calls=$(objdump -d --no-show-raw-insn "$binary" | awk '
    /^[0-9a-f]+ <.*>:$/ { ours = /serin_/; caller = $2; seen += ours }
    ours && /call.*core_arch/ { calls[caller]++ }
    END { if (!seen) exit 2; for (caller in calls) print calls[caller], caller }
') || { echo "$binary shows no function of ours: is objdump there, and the binary not stripped?" >&2; exit 2; }
if [ -n "$calls" ]; then
    echo "Vector intrinsics called out of line, by caller:" >&2
    echo "$calls" | c++filt | sort -rn
    exit 1
fi
echo "All vector intrinsics of $binary are inlined."
