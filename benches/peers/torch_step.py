"""Times the recipe's training step in PyTorch, on one batch of real texts that is repeated. One JSON line.

Usage: python benches/peers/torch_step.py --model FOLDER --texts batch.parquet [--setup recipe|best] [--steps 2]

`recipe`: as it was written. The batch padded to its longest text, dropout everywhere (also in the frozen layers),
          autocast + GradScaler.
`best`:   the same step as PyTorch runs it best: the frozen part in bf16, without dropout and gradients; micro-batches of
          texts of similar length, whose gradients add up to the batch's.
Both use SDPA and train the last layers and the head, embeddings and the first 9 layers frozen.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
import transformers

from datasets_on_disk import read_parquet
from measurement import peak_memory_mib
from torch_models import autocast, build_classifier, freeze, pad, parameter_groups


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a Hugging Face folder with a tokenizer")
    parser.add_argument("--texts", type=Path, required=True, help="Parquet file with `text` and `label`: the batch")
    parser.add_argument("--setup", choices=["recipe", "best"], default="recipe")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="bf16")
    parser.add_argument("--micro-batch", type=int, help="texts a forward pass [default: all, best: 8]")
    parser.add_argument("--freeze-layers", type=int, default=9)
    parser.add_argument("--dropout", type=float, default=0.1, help="hidden and attention, in what is trained")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=2, help="timed, after one that is not")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


def read_batch(arguments: argparse.Namespace) -> list[list[tuple[list[int], int]]]:
    """The batch as micro-batches of (ids, label)."""
    texts, labels = read_parquet(arguments.texts)
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    rows = tokenizer(texts, truncation=True, max_length=arguments.max_length)["input_ids"]
    examples = list(zip(rows, labels))
    size = arguments.micro_batch or (8 if arguments.setup == "best" else len(examples))
    if arguments.setup == "best":
        examples.sort(key=lambda example: len(example[0]))
    return [examples[begin : begin + size] for begin in range(0, len(examples), size)]


def train_step(model, batch, optimizer, scaler, arguments) -> float:
    """One optimizer step; losses of micro-batches are averaged over all examples."""
    optimizer.zero_grad(set_to_none=True)
    examples = sum(map(len, batch))
    total = 0.0
    for part in batch:
        inputs = pad([ids for ids, _ in part], model.config.pad_token_id)
        labels = torch.tensor([label for _, label in part], device=arguments.device)
        with autocast(arguments.device, arguments.precision):
            logits = model(**{name: tensor.to(arguments.device) for name, tensor in inputs.items()}).logits
            loss = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum") / examples
        scaler.scale(loss).backward()
        total += loss.item()
    scaler.step(optimizer)
    scaler.update()
    return total


def summary(arguments: argparse.Namespace, batch: list, seconds: list[float]) -> dict:
    """The report on the timed steps. `tokens` are those of the texts; padded ones are what was computed on."""
    examples = sum(map(len, batch))
    tokens = sum(len(ids) for part in batch for ids, _ in part)
    median = statistics.median(seconds)
    return {
        "engine": "torch",
        "version": torch.__version__,
        "setup": arguments.setup,
        "precision": arguments.precision,
        "dropout": arguments.dropout,
        "freeze_layers": arguments.freeze_layers,
        "examples": examples,
        "tokens": tokens,
        "padded_tokens": sum(len(part) * max(len(ids) for ids, _ in part) for part in batch),
        "steps": len(seconds),
        "median_step_seconds": round(median, 3),
        "fastest_step_seconds": round(min(seconds), 3),
        "slowest_step_seconds": round(max(seconds), 3),
        "examples_per_second": round(examples / median, 3),
        "tokens_per_second": round(tokens / median, 1),
        "threads": torch.get_num_threads(),
        "peak_memory_mib": peak_memory_mib(),
    }


def build(arguments: argparse.Namespace) -> torch.nn.Module:
    """The model in training mode; `best` has its frozen part in evaluation mode and 16 bits."""
    model = build_classifier(
        arguments, hidden_dropout_prob=arguments.dropout, attention_probs_dropout_prob=arguments.dropout
    ).to(arguments.device)
    frozen = freeze(model, arguments.freeze_layers)
    model.train()
    if arguments.setup == "best":
        for module in frozen:
            module.eval()
            if arguments.precision == "bf16":
                module.bfloat16()
    return model


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    batch = read_batch(arguments)
    model = build(arguments)
    optimizer = torch.optim.AdamW(parameter_groups(model, 2e-5, 1e-4, 0.01))
    scaler = torch.amp.GradScaler(arguments.device, enabled=arguments.precision != "fp32")
    seconds, losses = [], []
    for _ in range(1 + arguments.steps):
        start = time.perf_counter()
        losses.append(train_step(model, batch, optimizer, scaler, arguments))
        if arguments.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    print(json.dumps(summary(arguments, batch, seconds[1:]) | {"losses": [round(loss, 4) for loss in losses]}))


if __name__ == "__main__":
    main()
