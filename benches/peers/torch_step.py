"""Times the recipe's training step in PyTorch: RoBERTa-base, random weights, real IMDB texts. One JSON line.

Usage: python benches/peers/torch_step.py --imdb train.parquet --tokenizer FOLDER [--setup recipe|best] [--steps 5]

`recipe`: as it was written. Every text padded to 512, dropout everywhere (also in the frozen layers), autocast + GradScaler.
`best`:   the same step as PyTorch runs it best: no dropout in the frozen part, batches of similar length, padded to their
          longest. Both use SDPA and train the last layers and the head, embeddings and the first 9 layers frozen.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from datasets_on_disk import read_parquet
from measurement import peak_memory_mib
from torch_models import add_model_flags, autocast, build_classifier, freeze, pad, parameter_groups

# As in `Trainer`'s length grouping: sort within this many shuffled batches.
BATCHES_A_POOL = 50


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_model_flags(parser)
    parser.add_argument("--imdb", type=Path, required=True, help="Parquet file with `text` and `label`")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with vocab.json and merges.txt")
    parser.add_argument("--setup", choices=["recipe", "best"], default="recipe")
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="bf16")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--micro-batch", type=int, help="rows a forward pass, to bound memory; the batch if absent")
    parser.add_argument("--freeze-layers", type=int, default=9)
    parser.add_argument("--dropout", type=float, default=0.1, help="hidden and attention, in what is trained")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=5, help="timed, after one that is not")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


def byte_level_bpe(folder: Path, max_length: int) -> Tokenizer:
    """RoBERTa's tokenizer from its two files."""
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.enable_truncation(max_length)
    return tokenizer


def sample_batches(arguments: argparse.Namespace) -> list[list[tuple[list[int], int]]]:
    """`steps + 1` batches of (ids, label), drawn from one shuffle of the whole file."""
    texts, labels = read_parquet(arguments.imdb)
    generator = torch.Generator().manual_seed(arguments.seed)
    batches = 1 + arguments.steps
    pool = arguments.batch_size * (max(BATCHES_A_POOL, batches) if arguments.setup == "best" else batches)
    chosen = torch.randperm(len(texts), generator=generator)[:pool].tolist()
    encoded = byte_level_bpe(arguments.tokenizer, arguments.max_length).encode_batch([texts[i] for i in chosen])
    examples = [(encoding.ids, labels[i]) for encoding, i in zip(encoded, chosen)]
    if arguments.setup == "best":
        examples.sort(key=lambda example: len(example[0]))
    grouped = [examples[i : i + arguments.batch_size] for i in range(0, len(examples), arguments.batch_size)]
    order = torch.randperm(len(grouped), generator=generator)[:batches].tolist()
    return [grouped[i] for i in order]


def train_step(model, batch, optimizer, scaler, arguments) -> float:
    """One optimizer step over the batch, in micro-batches whose losses are averaged over the examples."""
    optimizer.zero_grad(set_to_none=True)
    width = arguments.max_length if arguments.setup == "recipe" else None
    size = arguments.micro_batch or len(batch)
    total = 0.0
    for begin in range(0, len(batch), size):
        part = batch[begin : begin + size]
        inputs = pad([ids for ids, _ in part], model.config.pad_token_id, width)
        labels = torch.tensor([label for _, label in part], device=arguments.device)
        with autocast(arguments.device, arguments.precision):
            logits = model(**{name: tensor.to(arguments.device) for name, tensor in inputs.items()}).logits
            loss = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum") / len(batch)
        scaler.scale(loss).backward()
        total += loss.item()
    scaler.step(optimizer)
    scaler.update()
    return total


def summary(arguments: argparse.Namespace, batches: list, seconds: list[float]) -> dict:
    """The report on the timed steps. `real` tokens are those of the texts; padded ones are what was computed on."""
    lengths = [[len(ids) for ids, _ in batch] for batch in batches]
    examples = sum(map(len, lengths))
    real = sum(map(sum, lengths))
    padded = sum(len(row) * (arguments.max_length if arguments.setup == "recipe" else max(row)) for row in lengths)
    elapsed = sum(seconds)
    return {
        "engine": "torch",
        "version": torch.__version__,
        "setup": arguments.setup,
        "precision": arguments.precision,
        "batch_size": arguments.batch_size,
        "dropout": arguments.dropout,
        "freeze_layers": arguments.freeze_layers,
        "steps": len(seconds),
        "median_step_seconds": round(statistics.median(seconds), 3),
        "examples_per_second": round(examples / elapsed, 3),
        "real_tokens_per_second": round(real / elapsed, 1),
        "padded_tokens_per_second": round(padded / elapsed, 1),
        "mean_tokens": round(real / examples, 1),
        "threads": torch.get_num_threads(),
        "peak_memory_mib": peak_memory_mib(),
    }


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    batches = sample_batches(arguments)
    model = build_classifier(
        arguments, hidden_dropout_prob=arguments.dropout, attention_probs_dropout_prob=arguments.dropout
    ).to(arguments.device)
    frozen = freeze(model, arguments.freeze_layers)
    model.train()
    for module in frozen if arguments.setup == "best" else []:
        module.eval()
    optimizer = torch.optim.AdamW(parameter_groups(model, 2e-5, 1e-4, 0.01))
    scaler = torch.amp.GradScaler(arguments.device, enabled=arguments.precision != "fp32")
    seconds, losses = [], []
    for batch in batches:
        start = time.perf_counter()
        losses.append(train_step(model, batch, optimizer, scaler, arguments))
        if arguments.device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    print(json.dumps(summary(arguments, batches[1:], seconds[1:]) | {"losses": [round(loss, 4) for loss in losses]}))


if __name__ == "__main__":
    main()
