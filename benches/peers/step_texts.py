"""The texts that a training step is timed on: the same batch for every engine, as Parquet files with `text` and `label`."""

import random
from pathlib import Path

import pyarrow
import pyarrow.parquet

from datasets_on_disk import read_parquet

# Words of IMDB's training texts at the 5th, 15th … 95th percentile.
IMDB_WORDS = [89, 126, 142, 157, 178, 205, 243, 300, 399, 591]


def drawn(imdb: Path, count: int, seed: int = 0) -> list[tuple[str, int]]:
    """`count` rows of the file, drawn at random."""
    rows = list(zip(*read_parquet(imdb)))
    return random.Random(seed).sample(rows, count)


def put_together(sentences: Path, count: int, seed: int = 0) -> list[tuple[str, int]]:
    """`count` texts of shuffled sentences, about as long as IMDB's, where that is not at hand."""
    generator = random.Random(seed)
    lines = [line.rsplit("\t", 1)[0] for line in sentences.read_text(encoding="utf-8").split("\n") if line]
    rows = []
    for index in range(count):
        words: list[str] = []
        while len(words) < IMDB_WORDS[index % len(IMDB_WORDS)]:
            words += generator.choice(lines).split()
        rows.append((" ".join(words[: IMDB_WORDS[index % len(IMDB_WORDS)]]), index % 2))
    return rows


def write(rows: list[tuple[str, int]], path: Path) -> Path:
    texts, labels = zip(*rows)
    pyarrow.parquet.write_table(pyarrow.table({"text": list(texts), "label": list(labels)}), path)
    return path
