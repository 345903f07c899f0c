#!/usr/bin/env bash
# Proves and measures the GPU backend on a machine with an NVIDIA card, and writes what came of it as one table.
#
#   scripts/gpu.sh OUT [--part PART ...] [options]
#   scripts/gpu.sh --pack FOLDER
#
# The second builds what the first runs into FOLDER, for a machine without Rust: there, --binaries FOLDER.
#
# OUT receives what each step printed (NAME.txt), its numbers (NAME.json, NAME.jsonl), and summary.md, the table of all parts that
# were run into it so far. A step that fails is told at the end and in the table and keeps no other from running. Parts, each
# minutes long on a fast card:
#
#   prove      kernels and models on the card against references; a hundred steps on both devices; the same bits twice;
#              compute-sanitizer where there is one
#   speed      the card's limits, ops, layers, the recipe's step with and without the cache, inference: serin bench
#   recipe     the whole recipe: 12 epochs with evaluation (wants --imdb)
#   peers      the recipe's step in PyTorch, as written and at its best
#   inference  25,000 reviews in Serin and in PyTorch at its best (wants --imdb)
#   finetune   a checkpoint fine-tuned on IMDB to the end in Serin and in PyTorch (wants --imdb and --checkpoint)
#
# Options:
#   --part PART          one of them; given again, one more [default: all that have what they want]
#   --binaries FOLDER    what --pack made [default: built with cargo]
#   --imdb FOLDER        the Hub's stanfordnlp/imdb: train*.parquet and test*.parquet
#   --checkpoint FOLDER  what finetune begins with: a pretrained encoder, say MiniLM
#   --tokenizer FOLDER   RoBERTa's vocab.json and merges.txt [default: one learned from the sentences in the source]
#   --python PYTHON      with torch, transformers, pyarrow and scikit-learn [default: python3]
#   --work FOLDER        models and caches, gigabytes of them [default: a folder in TMPDIR]
#   --micro-batch-tokens N   of Serin's training [default: its own]
#   --device DEVICE      cuda, or cpu to try the script without a card [default: cuda]
#   --quick              tiny models and few steps: tries the script, measures nothing
#   --limit SECONDS      the most that a step may take [default: 420]
set -uo pipefail

fail() {
    echo "gpu.sh: $1" >&2
    exit 2
}

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p;}' "$0"; }

out='' pack='' binaries='' imdb='' checkpoint='' tokenizer='' python=python3 work='' micro_batch_tokens='' device=cuda quick='' limit=420
parts=()
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) usage && exit ;;
        --quick) quick=yes && shift && continue ;;
        -*) [ $# -gt 1 ] || fail "$1 wants a value" ;;
    esac
    case $1 in
        --part) parts+=("$2") ;;
        --pack) pack=$2 ;;
        --binaries) binaries=$2 ;;
        --imdb) imdb=$2 ;;
        --checkpoint) checkpoint=$2 ;;
        --tokenizer) tokenizer=$2 ;;
        --python) python=$2 ;;
        --work) work=$2 ;;
        --micro-batch-tokens) micro_batch_tokens=$2 ;;
        --device) device=$2 ;;
        --limit) limit=$2 ;;
        -*) fail "$1 is no option; --help says what there is" ;;
        *)
            [ -z "$out" ] || fail "one folder for results, not $out and $1"
            out=$1
            shift
            continue
            ;;
    esac
    shift 2
done
for part in "${parts[@]}"; do
    case $part in prove | speed | recipe | peers | inference | finetune) ;; *) fail "$part is no part; --help says what there is" ;; esac
done

here=$(cd "$(dirname "$0")/.." && pwd)
# What was typed is relative to where it was typed.
absolute() { [ -z "$1" ] || realpath -m -- "$1"; }
out=$(absolute "$out") pack=$(absolute "$pack") binaries=$(absolute "$binaries") imdb=$(absolute "$imdb")
checkpoint=$(absolute "$checkpoint") tokenizer=$(absolute "$tokenizer") work=$(absolute "$work")
cd "$here" || exit
# Tests that run on the card.
tests=(conformance model ceiling)

# The newest file of a test that cargo built, by what cargo itself says.
test_file() {
    cargo test --release --locked -p serin-cuda --test "$1" --no-run --message-format json 2>/dev/null |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}

if [ -n "$pack" ]; then
    mkdir -p "$pack"
    cargo build --release --locked -p serin || exit
    cp "${CARGO_TARGET_DIR:-target}/release/serin" "$pack/" || exit
    for test in "${tests[@]}"; do
        cp "$(test_file "$test")" "$pack/$test" || exit
    done
    strip "$pack"/*
    # Tests find their goldens by the path that they were built in.
    echo "$here" >"$pack/root.txt"
    exit
fi

[ -n "$out" ] || fail "usage: scripts/gpu.sh OUT [--part PART ...] [options]; --help says more"
work=${work:-${TMPDIR:-/tmp}/serin-gpu}
mkdir -p "$out" "$work"
export SERIN_CACHE=${SERIN_CACHE:-$work/cache}
# On a machine without the Hub nobody is to wait for it.
export HF_HUB_OFFLINE=1
failed=()

# step NAME COMMAND...: runs it, keeps what it says, and notes how it ended. With `lines` set, its standard output is lines of JSON,
# of which those count that came before a failure.
step() {
    local name=$1 started=$SECONDS status
    shift
    echo "== $name: $*"
    if [ -n "${lines:-}" ]; then
        timeout --kill-after 10 "$limit" "$@" >"$out/$name.jsonl" 2>"$out/$name.txt"
    else
        timeout --kill-after 10 "$limit" "$@" >"$out/$name.txt" 2>&1
    fi
    status=$?
    tail -n 5 "$out/$name.txt"
    [ "$status" -eq 0 ] || failed+=("$name")
    printf '{"step": "%s", "status": %d, "seconds": %d}\n' "$name" "$status" $((SECONDS - started)) | tee -a "$out/steps.jsonl"
    return "$status"
}

# training NAME FLAG...: a step that trains anew, and keeps its log.
training() {
    local name=$1
    shift
    rm -rf "${work:?}/$name" "$out/$name.jsonl"
    step "$name" "$serin" train "$@" --output-dir "$work/$name"
    cp "$work/$name/train_log.jsonl" "$out/$name.jsonl"
}

has() {
    local wanted
    [ ${#parts[@]} -gt 0 ] || return 0
    for wanted in "${parts[@]}"; do [ "$wanted" != "$1" ] || return 0; done
    return 1
}

# wants PART WHAT VALUE: whether a part has what it needs; if it was asked for and has not, that is a failure.
wants() {
    [ -z "$3" ] || return 0
    echo "== $1: not run without $2"
    [ ${#parts[@]} -eq 0 ] || failed+=("$1 (wants $2)")
    return 1
}

if [ -n "$binaries" ]; then
    serin=$binaries/serin
    root=$(cat "$binaries/root.txt" 2>/dev/null || echo "$here")
    [ -e "$root" ] || { mkdir -p "$(dirname "$root")" && ln -s "$here" "$root"; }
else
    limit=3600 step build cargo build --release --locked -p serin || exit
    serin=${CARGO_TARGET_DIR:-$here/target}/release/serin
fi
serin() { "$serin" "$@"; }
[ "$device" != cuda ] || step card nvidia-smi

rm -f "$out/quick"
size=base frozen=9 texts=64 steps=32 torch_steps=20 together=5 sentences=100 epochs=12 seconds=10 tokens=17088
samples=() shapes=() sentences_model=() training_samples=()
if [ -n "$quick" ]; then
    touch "$out/quick"
    size=tiny frozen=3 texts=4 steps=2 torch_steps=2 together=1 sentences=3 epochs=2 seconds=0.1 tokens=300
    samples=(--max-samples 20)
    shapes=(--shapes 4x32)
    training_samples=(--max-train-samples 24 --max-eval-samples 16)
    sentences_model=(--model "$work/tiny/model" --batch-size 4)
fi
micro=()
[ -z "$micro_batch_tokens" ] || micro=(--micro-batch-tokens "$micro_batch_tokens")
base=$work/$size/model
train_texts=$(find "$imdb" -name 'train*.parquet' 2>/dev/null | head -n 1)
test_texts=$(find "$imdb" -name 'test*.parquet' 2>/dev/null | head -n 1)
# What takes long to compile comes last: what ran before the limit counts.
setups=(recipe best-cached-packed best-packed best-cached best best-cached-packed-compiled best-packed-compiled
    best-cached-compiled best-compiled best-cached-graphs)
[ -z "$quick" ] || setups=(recipe best best-packed best-cached best-cached-packed)

# A model of random weights and the batch that all engines are given.
prepare() {
    [ -f "$base/model.safetensors" ] && [ -f "$work/$size/copies.parquet" ] && return
    step inputs "$python" benches/peers/step_inputs.py "$work/$size" --random "$size" --count "$texts" --copies "$steps" \
        ${train_texts:+--imdb "$train_texts"} ${tokenizer:+--tokenizer "$tokenizer"}
}

prove() {
    local name precision
    for name in "${tests[@]}"; do
        [ "$device" = cuda ] || continue
        # Without a compiler, the emulator is not run once more.
        local run=(env SERIN_TEST_CUDA=1 CXX=none)
        if [ -n "$binaries" ]; then
            step "test-$name" "${run[@]}" "$binaries/$name" --nocapture
        else
            limit=3600 step "test-$name" "${run[@]}" cargo test --release --locked -p serin-cuda --test "$name" -- --nocapture
        fi
    done
    # The same hundred steps on both devices: losses agree within fp32's tolerance, then within bf16's.
    for precision in fp32 bf16; do
        sentences "$precision-cpu" "$precision" cpu
        [ "$device" = cpu ] || sentences "$precision-$device" "$precision" "$device"
    done
    # The same run twice, to the same bits.
    sentences bf16-again bf16 "$device"
    step same-bits cmp "$work/sentences-bf16-again/best/model.safetensors" "$work/sentences-bf16-$device/best/model.safetensors"
    if [ "$device" = cuda ] && command -v compute-sanitizer >/dev/null; then
        local tool
        for tool in memcheck racecheck initcheck; do
            limit=100 step "sanitizer-$tool" compute-sanitizer --tool "$tool" --error-exitcode 9 "$serin" train --device cuda --precision bf16 \
                --max-steps 2 --max-train-samples 64 --output-dir "$work/sanitized" --overwrite-output-dir "${sentences_model[@]}"
        done
    fi
}

sentences() {
    training "sentences-$1" --device "$3" --precision "$2" --max-steps "$sentences" --logging-steps 1 "${sentences_model[@]}"
}

speed() {
    local bench=("$serin" bench --device "$device" --precision bf16 --model "$base" --seconds "$seconds")
    step bench-machine "${bench[@]}" machine --json "$out/bench-machine.json"
    step bench-step "${bench[@]}" step --train-file "$work/$size/copies.parquet" --batch-size "$texts" --steps "$steps" \
        --freeze-layers "$frozen" "${micro[@]}" --json "$out/bench-step.json"
    step bench-ops "${bench[@]}" ops --tokens "$tokens" --json "$out/bench-ops.json"
    step bench-layers "${bench[@]}" layers --tokens "$tokens" --freeze-layers "$frozen" --json "$out/bench-layers.json"
    step bench-inference "${bench[@]}" inference "${shapes[@]}" --json "$out/bench-inference.json"
}

recipe() {
    training recipe --recipe imdb-twitter-roberta --model "$base" --dataset-name "$imdb" --device "$device" --precision bf16 \
        --num-train-epochs "$epochs" --early-stopping-patience "$epochs" --freeze-layers "$frozen" "${micro[@]}" \
        "${training_samples[@]}"
}

peers() {
    lines=yes step torch-step "$python" benches/peers/torch_step.py --model "$base" --texts "$work/$size/batch.parquet" --device "$device" \
        --setup "${setups[@]}" --precision bf16 --freeze-layers "$frozen" --steps "$torch_steps" --warm-up 3 --together "$together"
    lines=yes step torch-recipe-fp16 "$python" benches/peers/torch_step.py --model "$base" --texts "$work/$size/batch.parquet" \
        --device "$device" --setup recipe --precision "$([ "$device" = cuda ] && echo fp16 || echo bf16)" --freeze-layers "$frozen" \
        --steps "$torch_steps" --warm-up 3
}

inference() {
    step texts "$serin" bench inference --device "$device" --precision bf16 --model "$base" --file "$test_texts" "${samples[@]}" \
        --seconds "$seconds" --json "$out/texts.json"
    local setups=(padded padded-compiled packed packed-compiled)
    [ -z "$quick" ] || setups=(padded packed)
    lines=yes step torch-texts "$python" benches/peers/torch_predict.py --model "$base" --texts "$test_texts" --device "$device" "${samples[@]}" \
        --setup "${setups[@]}"
}

finetune() {
    local same=(--learning-rate 5e-5 --weight-decay 0.01 --max-grad-norm 1 --lr-scheduler-type linear --warmup-ratio 0.1 --max-length 512 --seed 1)
    training finetune --model "$checkpoint" --dataset-name "$imdb" --device "$device" --precision bf16 --batch-size 32 \
        --num-train-epochs 3 --early-stopping-patience 3 --select-on test "${same[@]}" "${micro[@]}" "${training_samples[@]}"
    lines=yes step torch-finetune "$python" benches/peers/torch_finetune.py --model "$checkpoint" --train-parquet "$train_texts" --val-parquet "$test_texts" \
        --device "$device" --precision bf16 --batch-size 32 --eval-batch-size 128 --epochs 3 "${same[@]}" "${training_samples[@]}"
}

for part in prove speed recipe peers inference finetune; do
    has "$part" || continue
    case $part in
        recipe | inference) wants "$part" --imdb "$train_texts" || continue ;;
        finetune)
            wants "$part" --imdb "$train_texts" || continue
            wants "$part" --checkpoint "$checkpoint" || continue
            ;;
    esac
    [ "$part" = finetune ] || { [ "$part" = prove ] && [ -z "$quick" ]; } || prepare || continue
    "$part"
done

"$python" scripts/gpu_summary.py "$out" >"$out/summary.md" || failed+=(summary)
cat "$out/summary.md"
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
