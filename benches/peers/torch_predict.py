"""Classifies the texts of a file with PyTorch at its best: tokens a second of real tokens, with tokenizing and without. A JSON line a setup.

Usage: python benches/peers/torch_predict.py --model FOLDER --texts test.parquet [--setup padded packed-compiled ...] [--device cuda]

Weights and activations in 16 bits, SDPA, texts sorted by length; a batch holds as many as fit into `--tokens`. `padded` batches are
padded to their longest text, rounded up to a multiple of 64 (so that code is compiled for few widths); `packed` ones are not padded.
`compiled` is torch.compile. Of several setups one that fails is a line with its error.
"""

import argparse
import time
from pathlib import Path

import torch
import transformers

from datasets_on_disk import read_parquet
from measurement import device_memory_mib, peak_memory_mib, report_setups, synchronize
from torch_models import build_classifier
from torch_split import Batch, SplitClassifier, packed_batch, padded_batch

SETUPS = ["padded", "padded-compiled", "packed", "packed-compiled"]
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MULTIPLE = 64


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a Hugging Face folder with a tokenizer: a RoBERTa classifier")
    parser.add_argument("--texts", type=Path, required=True, help="Parquet file with `text` and `label`")
    parser.add_argument("--setup", nargs="+", choices=SETUPS, default=["padded"])
    parser.add_argument("--precision", choices=TYPES, default="bf16")
    parser.add_argument("--max-samples", type=int, help="the first N texts")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--tokens", type=int, default=32768, help="of a batch, padding included")
    parser.add_argument("--rounds", type=int, default=2, help="timed, after one that compiles")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


def batches_of(rows: list[list[int]], tokens: int) -> list[list[int]]:
    """Indices of texts, longest first, in batches of at most `tokens` with padding."""
    order = sorted(range(len(rows)), key=lambda index: -len(rows[index]))
    batches: list[list[int]] = []
    for index in order:
        longest = len(rows[batches[-1][0]]) if batches else 0
        if not batches or (len(batches[-1]) + 1) * -(-longest // MULTIPLE) * MULTIPLE > tokens:
            batches.append([])
        batches[-1].append(index)
    return batches


class Predictor:
    """A model in one setup."""

    def __init__(self, setup: str, arguments: argparse.Namespace):
        self.device, self.packed, self.tokens = arguments.device, "packed" in setup, arguments.tokens
        self.model = build_classifier(arguments).to(TYPES[arguments.precision]).to(self.device)
        compiled = "default" if "compiled" in setup else None
        layers = self.model.config.num_hidden_layers
        self.split = SplitClassifier(self.model, layers, self.packed, compiled, dynamic=True)

    def batch(self, rows: list[list[int]]) -> Batch:
        config = self.model.config
        return packed_batch(rows, config, self.device) if self.packed else padded_batch(rows, config, self.device, MULTIPLE)

    @torch.inference_mode()
    def logits(self, rows: list[list[int]]) -> torch.Tensor:
        """`[texts, labels]`, on the host; the device is waited for at the end only."""
        batches = batches_of(rows, self.tokens)
        found = []
        for indices in batches:
            batch = self.batch([rows[index] for index in indices])
            found.append(self.split.top(self.split.trunk(batch), batch).float())
        order = torch.tensor([index for indices in batches for index in indices])
        logits = torch.empty(len(rows), self.model.config.num_labels)
        logits[order] = torch.cat(found).cpu()
        return logits


def run(setup: str, texts: list[str], tokenizer, arguments: argparse.Namespace) -> dict:
    """Seconds of tokenizing and of the model, each the least of the rounds."""
    predictor = Predictor(setup, arguments)
    tokenize = lambda: tokenizer(texts, truncation=True, max_length=arguments.max_length)["input_ids"]
    start = time.perf_counter()
    predictor.logits(tokenize())
    warm_up = time.perf_counter() - start
    tokenizing, model, whole = [], [], []
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        rows = tokenize()
        between = time.perf_counter()
        logits = predictor.logits(rows)
        synchronize(arguments.device)
        end = time.perf_counter()
        tokenizing.append(between - start)
        model.append(end - between)
        whole.append(end - start)
    tokens = sum(map(len, rows))
    return {
        "engine": "torch",
        "version": torch.__version__,
        "setup": setup,
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu",
        "precision": arguments.precision,
        "texts": len(rows),
        "tokens": tokens,
        "tokenizing_seconds": round(min(tokenizing), 4),
        "model_seconds": round(min(model), 4),
        "whole_seconds": round(min(whole), 4),
        "model_tokens_per_second": round(tokens / min(model), 1),
        "whole_tokens_per_second": round(tokens / min(whole), 1),
        "warm_up_seconds": round(warm_up, 2),
        "mean_logit": round(logits.mean().item(), 5),
        "peak_memory_mib": peak_memory_mib(),
        "device_memory_mib": device_memory_mib(arguments.device),
    }


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    texts = read_parquet(arguments.texts)[0][: arguments.max_samples]
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    report_setups(lambda setup: run(setup, texts, tokenizer, arguments), arguments)


if __name__ == "__main__":
    main()
