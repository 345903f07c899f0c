#!/usr/bin/env bash
# Proves and measures the GPU backend on a machine with an NVIDIA card.
#
#   scripts/gpu.sh OUT [IMDB PYTHON TOKENIZER]
#
# OUT receives what each step printed; a step that fails is told at the end and does not keep the others from running. With the
# other three the whole recipe runs, and PyTorch makes its step on the same card: IMDB is the Hub's stanfordnlp/imdb as a folder,
# PYTHON has torch for CUDA and transformers, TOKENIZER is a folder of RoBERTa's vocab.json and merges.txt. What the program needs of
# CUDA at run time is in docs/gpu.md.
set -uo pipefail
out=${1:?usage: scripts/gpu.sh OUT [IMDB PYTHON TOKENIZER]}
imdb=${2:-}
python=${3:-}
tokenizer=${4:-}
cd "$(dirname "$0")/.."
mkdir -p "$out"
failed=()
step() {
    local name=$1
    shift
    echo "== $name: $*"
    local started=$SECONDS
    "$@" 2>&1 | tee "$out/$name.txt" || failed+=("$name")
    echo "== $name: $((SECONDS - started)) s" | tee -a "$out/times.txt"
}
serin() { cargo run --quiet --release --locked -- "$@"; }

step card nvidia-smi
step build cargo build --release --locked
step ops env SERIN_TEST_CUDA=1 cargo test --locked -p serin-cuda -- --nocapture
step speed cargo test --release --locked -p serin-cuda --test speed -- --ignored --nocapture

# The same hundred steps on both devices: losses agree within fp32's tolerance, then within bf16's.
for precision in fp32 bf16; do
    for device in cpu cuda; do
        step "sentences-$precision-$device" serin train --device "$device" --precision "$precision" --max-steps 100 --logging-steps 1 \
            --output-dir "$out/sentences-$precision-$device" --overwrite-output-dir
    done
    paste -d' ' <(grep -o '"loss":[^,]*' "$out/sentences-$precision-cpu/train_log.jsonl") \
        <(grep -o '"loss":[^,]*' "$out/sentences-$precision-cuda/train_log.jsonl") >"$out/losses-$precision.txt"
done
# The same run twice, to the same bits.
step again serin train --device cuda --precision bf16 --max-steps 100 --output-dir "$out/again" --overwrite-output-dir
step same-bits cmp "$out/again/best/model.safetensors" "$out/sentences-bf16-cuda/best/model.safetensors"

if [ -n "$tokenizer" ]; then
    step model "$python" benches/peers/random_model.py "$out/base" --tokenizer "$tokenizer"
    step recipe serin train --recipe imdb-twitter-roberta --model "$out/base" --dataset-name "$imdb" --device cuda \
        --num-train-epochs 12 --early-stopping-patience 12 --output-dir "$out/recipe" --overwrite-output-dir
    step inference serin predict "$out/recipe" --file "$imdb"/test-00000-of-00001.parquet --output "$out/predictions.jsonl" --device cuda
    "$python" - "$imdb" "$out/batch.parquet" <<'PYTHON'
import glob, sys
sys.path.insert(0, "benches/peers")
import step_texts
from pathlib import Path
step_texts.write(step_texts.drawn(Path(glob.glob(f"{sys.argv[1]}/train*.parquet")[0]), 64), Path(sys.argv[2]))
PYTHON
    for setup in recipe best; do
        step "torch-$setup" "$python" benches/peers/torch_step.py --model "$out/base" --texts "$out/batch.parquet" --setup "$setup" \
            --device cuda --precision fp16 --steps 20
    done
fi
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
