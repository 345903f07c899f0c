"""Reads the data files that Serin reads, the plain way: a list of texts and a list of label ids."""

import argparse
from pathlib import Path

import pyarrow.parquet


def read_tsv(path: Path) -> tuple[list[str], list[int]]:
    """`text<TAB>label` a line, no header, no quoting; the last tab divides."""
    rows = [line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [text for text, _ in rows], [int(label) for _, label in rows]


def read_tweeteval(text_path: Path, label_path: Path) -> tuple[list[str], list[int]]:
    """TweetEval's pair of files; only a line feed ends a line."""
    labels = [int(label) for label in label_path.read_text(encoding="utf-8").split()]
    texts = text_path.read_text(encoding="utf-8").split("\n")[: len(labels)]
    if len(texts) != len(labels):
        raise SystemExit(f"{text_path} has {len(texts)} lines, {label_path} has {len(labels)} labels")
    return texts, labels


def read_parquet(path: Path) -> tuple[list[str], list[int]]:
    """The Hub's IMDB layout: columns `text` and `label`."""
    table = pyarrow.parquet.read_table(path, columns=["text", "label"])
    return table["text"].to_pylist(), table["label"].to_pylist()


def add_data_flags(parser: argparse.ArgumentParser) -> None:
    """Three ways to name the training and the validation set; exactly one is used."""
    group = parser.add_argument_group("data", "one of: two TSV files, two pairs of TweetEval files, two Parquet files")
    for name in ["train-tsv", "val-tsv", "train-text", "train-labels", "val-text", "val-labels", "train-parquet", "val-parquet"]:
        group.add_argument(f"--{name}", type=Path)


def read_split(arguments: argparse.Namespace, split: str) -> tuple[list[str], list[int]]:
    """The examples of `split` ("train" or "val") from whichever flags were given."""
    named = vars(arguments)
    if named[f"{split}_tsv"]:
        return read_tsv(named[f"{split}_tsv"])
    if named[f"{split}_text"] and named[f"{split}_labels"]:
        return read_tweeteval(named[f"{split}_text"], named[f"{split}_labels"])
    if named[f"{split}_parquet"]:
        return read_parquet(named[f"{split}_parquet"])
    raise SystemExit(f"no {split} data: give --{split}-tsv, --{split}-text with --{split}-labels, or --{split}-parquet")
