"""Opens a folder that Serin wrote in `transformers` and compares its predictions with Serin's on the same texts.

Usage: python golden/open_in_transformers.py MODEL TEXTS PREDICTIONS [--tolerance 1e-4]

TEXTS has one text a line. PREDICTIONS is Serin's JSONL for the same lines, with `text`, `predicted_label` and one
`score_<label>` a label. Prints one JSON line: rows, the largest difference between the scores (or, with `--raw-scores`,
the logits), how many labels agree, and how many rows were truncated. Exit code 1 if a score differs by more
than the tolerance, a label disagrees, or the rows do not match; a label may differ where the two best scores
lie within the tolerance of each other.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def normalise_tweet(text: str) -> str:
    """The preprocessing of the cardiffnlp model cards: user names become `@user`, links become `http`."""
    words = []
    for word in text.split(" "):
        word = "@user" if word.startswith("@") and len(word) > 1 else word
        words.append("http" if word.startswith("http") else word)
    return " ".join(words)


def longest_input(model, tokenizer, asked: int) -> int:
    """What the position table, the tokenizer and the flag allow: RoBERTa's positions start at `pad_token_id + 1`."""
    positions = model.config.max_position_embeddings
    if model.config.model_type in ("roberta", "xlm-roberta", "camembert"):
        positions -= model.config.pad_token_id + 1
    return min(asked, positions, tokenizer.model_max_length)


def scores_of(logits: torch.Tensor, config, raw: bool) -> torch.Tensor:
    """The scoring rule of the text-classification pipeline, by `problem_type`."""
    if raw or config.problem_type == "regression":
        return logits
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return logits.sigmoid()
    return logits.softmax(-1)


def predict(model, tokenizer, texts: list[str], limit: int, raw: bool, batch_size: int) -> tuple[torch.Tensor, int]:
    """Scores [rows, labels] in float32, and how many rows were cut."""
    rows, truncated = [], 0
    for begin in range(0, len(texts), batch_size):
        batch = texts[begin : begin + batch_size]
        truncated += sum(len(ids) > limit for ids in tokenizer(batch, verbose=False)["input_ids"])
        inputs = tokenizer(batch, truncation=True, max_length=limit, padding=True, return_tensors="pt")
        with torch.inference_mode():
            rows.append(scores_of(model(**inputs).logits, model.config, raw))
    return torch.cat(rows), truncated


def read_predictions(path: Path) -> list[dict]:
    """JSONL; only a line feed ends a line, since texts may hold other line separators."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def read_texts(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def agrees(scores: torch.Tensor, predicted: str, labels: list[str], tolerance: float) -> bool:
    """Whether `predicted` is the best label, or within the tolerance of the best."""
    return predicted in labels and (scores.max() - scores[labels.index(predicted)]).item() <= tolerance


def compare(scores: torch.Tensor, predictions: list[dict], texts: list[str], config, tolerance: float) -> dict:
    """The report on all rows, with the first row that is wrong."""
    labels = [config.id2label[index] for index in range(config.num_labels)]
    single = config.problem_type not in ("multi_label_classification", "regression") and config.num_labels > 1
    report = {"rows": len(texts), "max_difference": 0.0, "label_agreement": 0 if single else None, "first_wrong_row": None}
    for row, (text, prediction) in enumerate(zip(texts, predictions)):
        serin = torch.tensor([float(prediction[f"score_{label}"]) for label in labels])
        difference = (serin - scores[row]).abs().max().item()
        # Not max(): a NaN must not be lost.
        if not difference <= report["max_difference"]:
            report["max_difference"] = difference
        label_agrees = not single or agrees(scores[row], prediction["predicted_label"], labels, tolerance)
        if single:
            report["label_agreement"] += label_agrees
        wrong = not difference <= tolerance or not label_agrees or prediction["text"] != text
        if wrong and report["first_wrong_row"] is None:
            report["first_wrong_row"] = row
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="the folder that Serin wrote")
    parser.add_argument("texts", type=Path, help="one text a line")
    parser.add_argument("predictions", type=Path, help="Serin's JSONL for the same texts")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--max-length", type=int, default=512, help="tokens, with the special ones")
    parser.add_argument("--normalise-tweets", action="store_true", help="@user and http, as the cardiffnlp models expect")
    parser.add_argument("--raw-scores", action="store_true", help="the score columns are logits")
    parser.add_argument("--batch-size", type=int, default=16)
    arguments = parser.parse_args()

    model = AutoModelForSequenceClassification.from_pretrained(arguments.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    texts, predictions = read_texts(arguments.texts), read_predictions(arguments.predictions)
    if len(texts) != len(predictions):
        print(f"{arguments.predictions}: {len(predictions)} rows for {len(texts)} texts", file=sys.stderr)
        return 1
    inputs = [normalise_tweet(text) for text in texts] if arguments.normalise_tweets else texts
    limit = longest_input(model, tokenizer, arguments.max_length)
    scores, truncated = predict(model, tokenizer, inputs, limit, arguments.raw_scores, arguments.batch_size)
    report = compare(scores, predictions, texts, model.config, arguments.tolerance)
    print(json.dumps(report | {"truncated_rows": truncated, "max_length": limit, "model": type(model).__name__}))
    return 0 if report["first_wrong_row"] is None else 1


if __name__ == "__main__":
    sys.exit(main())
