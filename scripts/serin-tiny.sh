#!/usr/bin/env bash
# From data to the weights of serin-tiny, the encoder that ships inside.
#
#   scripts/serin-tiny.sh DATA OUT
#
# DATA holds imdb/{train,test,unsupervised}-*.parquet (the Hub's stanfordnlp/imdb) and tweeteval/sentiment/{train,val,test}_*.txt.
# About an hour and a half on two cores with AMX. The result goes into crates/serin/assets/serin-tiny.
set -euo pipefail
data=${1:?the folder with imdb/ and tweeteval/}
out=${2:?a folder to work in}
serin() { cargo run --quiet --release -- "$@"; }
tweets=$data/tweeteval/sentiment
reviews=("$data"/imdb/train-*.parquet "$data"/imdb/unsupervised-*.parquet)
mkdir -p "$out"

serin tokenizer train --vocab-size 8192 --line-by-line --train-file "${reviews[@]}" "$tweets/train_text.txt" -o "$out/tokenizer"

# No text of a test or validation set is learned from, not even without its label.
serin pretrain --tokenizer-name "$out/tokenizer" --hidden-size 256 --num-hidden-layers 4 --num-attention-heads 4 \
  --train-file "${reviews[@]}" "$tweets/train_text.txt" --line-by-line --packing doc-sentences --validation-fraction 0.01 \
  --exclude-file "$data"/imdb/test-*.parquet "$tweets/test_text.txt" "$tweets/val_text.txt" \
  --num-train-epochs 4 --learning-rate 1.5e-3 --warmup-steps 500 --eval-steps 500 \
  --hidden-dropout-prob 0 --attention-probs-dropout-prob 0 -o "$out/encoder"

serin train --model "$out/encoder" --dataset-name "$tweets" --metric-for-best-model recall-macro \
  --num-train-epochs 3 --learning-rate 2e-4 --head-learning-rate 1e-3 --warmup-steps 0.1 --weight-decay 0.01 \
  --hidden-dropout-prob 0.1 --attention-probs-dropout-prob 0.1 --normalization tweet -o "$out/sentiment"

cargo run --quiet --release --example pack_serin_tiny -- "$out/sentiment/best" "$out/encoder/best" \
  crates/serin/assets/serin-tiny/README.md "$out/serin-tiny"
echo "now: cp $out/serin-tiny/* crates/serin/assets/serin-tiny/"
