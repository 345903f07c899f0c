#!/bin/sh
# Runs the same work in Serin, PyTorch, OpenVINO and ONNX Runtime on this machine, and writes a table.
#
#   benches/compare.sh [--venv FOLDER] [--serin FILE] [--imdb FILE] [--tokenizer FOLDER]
#                      [--rounds N] [--only NAME ...] [--quick]
#
# Without --venv a virtual environment with the versions of benches/peers/requirements.txt is made in benches/work/venv.
# Without --serin the release binary is built. Results go to benches/results/DATE-MACHINE.json and .md.
# `--help` describes the other options.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=
serin=
help=
count=$#
while [ "$count" -gt 0 ]; do
    case $1 in
        --venv) venv=$2; shift 2; count=$((count - 2)) ;;
        --serin) serin=$2; shift 2; count=$((count - 2)) ;;
        -h | --help) help=yes; shift; count=$((count - 1)) ;;
        *) argument=$1; shift; set -- "$@" "$argument"; count=$((count - 1)) ;;
    esac
done
if [ -n "$help" ]; then
    sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"
    exec python3 "$root/benches/peers/compare_options.py" --help
fi
if [ -z "$venv" ]; then
    venv=$root/benches/work/venv
    [ -x "$venv/bin/python" ] || python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet -r "$root/benches/peers/requirements.txt"
fi
if [ -z "$serin" ]; then
    cargo build --release --locked --manifest-path "$root/Cargo.toml" -p serin
    serin=${CARGO_TARGET_DIR:-$root/target}/release/serin
fi
exec "$venv/bin/python" "$root/benches/peers/compare.py" --serin "$serin" "$@"
