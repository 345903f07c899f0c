"""Writes the dataset files that crates/data is tested with: small, and written by others' writers.

    python golden/data_fixtures.py crates/data/tests/data

Needs pyarrow and pandas; gzip, csv and json come with Python. The output is committed.
"""

import csv
import gzip
import json
import pathlib
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = [
    "A plain sentence.",
    'She said "no", twice.',
    "comma, semicolon; tab\there",
    "two\nlines",
    "naïve café — 日本語 👩‍👩‍👧 \u2028 \u0085",
    "",
    "5\" pipe",
    "<br />html<br />",
]
LABELS = [0, 1, 1, 0, 1, 0, 1, 0]


def features(label):
    """The metadata that `datasets` writes into its Parquet files."""
    info = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"}, "label": label}}}
    return {b"huggingface": json.dumps(info).encode()}


def parquet(folder):
    class_label = {"names": ["neg", "pos"], "_type": "ClassLabel"}
    table = pa.table({"text": TEXTS, "label": pa.array(LABELS, pa.int64())})
    hub = table.replace_schema_metadata(features(class_label))
    for codec in ["snappy", "zstd", "gzip", "none"]:
        pq.write_table(hub, folder / f"hub_{codec}.parquet", compression=codec, row_group_size=3)

    shards = folder / "hub" / "plain_text"
    shards.mkdir(parents=True, exist_ok=True)
    pq.write_table(hub.slice(0, 5), shards / "train-00000-of-00002.parquet")
    pq.write_table(hub.slice(5), shards / "train-00001-of-00002.parquet")
    pq.write_table(hub.slice(0, 2), shards / "test-00000-of-00001.parquet")
    unlabelled = pa.table({"text": TEXTS[:3], "label": pa.array([-1, -1, -1], pa.int64())})
    pq.write_table(
        unlabelled.replace_schema_metadata(features(class_label)), shards / "unsupervised-00000-of-00001.parquet"
    )

    lists = pa.table({"text": TEXTS[:4], "labels": pa.array([[0], [1, 2], [], [0, 2]], pa.list_(pa.int64()))})
    info = {"info": {"features": {"text": {"dtype": "string", "_type": "Value"},
            "labels": {"feature": {"names": ["joy", "anger", "fear"], "_type": "ClassLabel"}, "_type": "List"}}}}
    pq.write_table(lists.replace_schema_metadata({b"huggingface": json.dumps(info).encode()}),
                   folder / "multi_label.parquet")

    # Every type a column may have, and a null; pandas' categorical becomes a dictionary.
    typed = pa.table({
        "text": pa.array(["a", "b", None], pa.large_string()),
        "category": pa.array(["x", "y", "x"]).dictionary_encode(),
        "id": pa.array([1, 2**63, 3], pa.uint64()),
        "weight": pa.array([0.1, 2.5, None], pa.float32()),
        "when": pa.array([0, 86_400_000, None], pa.timestamp("ms")),
        "flag": pa.array([True, False, None]),
        "meta": pa.array([{"k": 1, "s": "q"}, None, {"k": 3, "s": "r"}]),
        "tags": pa.array([["p", "q"], [], None]),
    })
    pq.write_table(typed, folder / "typed.parquet")


def delimited(folder):
    frame = pd.DataFrame({"id": range(len(TEXTS)), "text": TEXTS, "label": [["neg", "pos"][id] for id in LABELS]})
    frame.to_csv(folder / "pandas.csv", index=False)
    frame.to_csv(folder / "pandas.csv.gz", index=False, compression={"method": "gzip", "mtime": 0})
    frame.to_csv(folder / "pandas.tsv", index=False, sep="\t")
    frame.to_json(folder / "pandas.jsonl", orient="records", lines=True)
    with open(folder / "quoted.csv", "w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(["text", "label"])
        writer.writerows(zip(TEXTS, LABELS))
    # A label column that once held a missing value: pandas writes ids as floats.
    floats = pd.DataFrame({"text": TEXTS[:3], "label": [0.0, 10.0, 2.0]})
    floats.to_csv(folder / "float_ids.csv", index=False)


def json_lines(folder):
    lines = [
        '{"text": "a", "label": true, "big": 12345678901234567890123, "exact": 1.10}',
        '{"label": false, "text": "\\u00e9\\n", "nested": {"z": 1, "a": [1, 2]}}',
        "",
        '{"text":"c","label":true,"exact":2}',
    ]
    (folder / "ragged.jsonl").write_text("\n".join(lines), encoding="utf-8")
    members = [gzip.compress((line + "\n").encode(), mtime=0) for line in lines]
    (folder / "members.jsonl.gz").write_bytes(b"".join(members))


if __name__ == "__main__":
    output = pathlib.Path(sys.argv[1])
    output.mkdir(parents=True, exist_ok=True)
    parquet(output)
    delimited(output)
    json_lines(output)
