"""Makes what engines are given for a training step: a RoBERTa of random weights, and the batch.

Usage: python benches/peers/step_inputs.py OUT [--random base] [--count 64] [--copies 32] [--imdb FILE] [--tokenizer FOLDER]

OUT receives `model`, `batch.parquet` with the texts of one batch, and `copies.parquet` with as many copies of it as steps are made on.
"""

import argparse
from pathlib import Path

import random_model
import step_texts

SENTENCES = Path(__file__).resolve().parents[2] / "crates/serin/assets/sentences/imdb_labelled.txt"
LEARNED_VOCABULARY = 8192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--random", choices=random_model.SIZES, default="base")
    parser.add_argument("--count", type=int, default=64, help="texts of a batch")
    parser.add_argument("--copies", type=int, default=32)
    parser.add_argument("--imdb", type=Path, help="Parquet file to draw the texts from [default: sentences put together]")
    parser.add_argument("--tokenizer", type=Path, help="folder of vocab.json and merges.txt [default: learned from the texts]")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.imdb:
        rows = step_texts.drawn(arguments.imdb, arguments.count)
    else:
        rows = step_texts.put_together(SENTENCES, arguments.count)
    step_texts.write(rows, arguments.out / "batch.parquet")
    tokenizer = arguments.tokenizer or random_model.learn_tokenizer(
        [text for text, _ in rows], LEARNED_VOCABULARY, arguments.out / "tokenizer"
    )
    random_model.make_model_once(arguments.out / "model", arguments.random, tokenizer)
    step_texts.write(rows * arguments.copies, arguments.out / "copies.parquet")


if __name__ == "__main__":
    main()
