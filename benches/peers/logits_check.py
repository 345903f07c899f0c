"""Do PyTorch and Serin compute the same? Logits of the same texts, from the same folder."""

import json
import subprocess
from pathlib import Path

import torch
import transformers

from datasets_on_disk import read_parquet
from torch_models import pad

# The largest difference of a logit that passes; between texts they differ by about 0.5.
BOUNDS = {"fp32": 1e-4, "bf16": 5e-2}


def torch_logits(model: Path, texts: list[str]) -> torch.Tensor:
    """[texts, labels] in float32, padded to the longest."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    rows = tokenizer(texts, truncation=True, max_length=512)["input_ids"]
    classifier = transformers.AutoModelForSequenceClassification.from_pretrained(model, dtype=torch.float32).eval()
    with torch.inference_mode():
        return classifier(**pad(rows, classifier.config.pad_token_id)).logits


def serin_logits(serin: Path, model: Path, texts: Path, precision: str) -> torch.Tensor:
    """[texts, labels] by `serin predict`."""
    command = [serin, "predict", model, "--file", texts, "--raw-scores", "--precision", precision, "--quiet"]
    output = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in output.splitlines()]
    names = sorted((name for name in rows[0] if name.startswith("score_")), key=lambda name: int(name.rsplit("_", 1)[1]))
    return torch.tensor([[row[name] for name in names] for row in rows])


def check(serin: Path, model: Path, texts: Path) -> list[dict]:
    """The largest differences; raises where one is above its bound."""
    expected = torch_logits(model, read_parquet(texts)[0])
    spread = (expected.max(0).values - expected.min(0).values).max().item()
    if spread < 2 * max(BOUNDS.values()):
        raise SystemExit(f"the texts' logits differ by {spread:.1e} only: swapped ones would pass")
    lines = []
    for precision, bound in BOUNDS.items():
        got = serin_logits(serin, model, texts, precision)
        difference = (got - expected).abs().max().item()
        lines.append({"precision": precision, "texts": len(expected), "largest_difference": difference,
                      "bound": bound, "spread_over_texts": spread})
        print(f"logits, {precision}: largest difference to PyTorch's fp32 {difference:.2e}, bound {bound:.0e}; "
              f"between texts they differ by {spread:.2e}", flush=True)
        if not difference <= bound:
            raise SystemExit(f"Serin's {precision} logits are not PyTorch's")
    return lines
