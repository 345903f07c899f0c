"""Writes the fixed split of the 3,000 labelled sentences: 2,400 to train.tsv, 600 to val.tsv.

Usage: python benches/peers/split_sentences.py SENTENCES_FOLDER OUT_FOLDER [--seed 0]
"""

import argparse
import random
from pathlib import Path

TRAIN_ROWS = 2400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("sentences", type=Path, help="folder of the *_labelled.txt files")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = []
    for file in sorted(arguments.sentences.glob("*_labelled.txt")):
        rows += [line for line in file.read_text(encoding="utf-8").split("\n") if line]
    random.Random(arguments.seed).shuffle(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, part in [("train.tsv", rows[:TRAIN_ROWS]), ("val.tsv", rows[TRAIN_ROWS:])]:
        (arguments.out / name).write_text("\n".join(part) + "\n", encoding="utf-8")
        print(f"{arguments.out / name}: {len(part)} rows")


if __name__ == "__main__":
    main()
