"""Fine-tunes a Hugging Face folder with PyTorch, the plain way, on the data and settings that Serin is given.

Usage: python benches/peers/torch_finetune.py --model FOLDER --train-tsv train.tsv --val-tsv val.tsv [--epochs 4] ...

Prints one JSON line an epoch: losses, accuracy, macro recall, examples a second, peak memory. The settings go to
stderr first. Batches are shuffled anew each epoch and padded to their longest member; the schedule is linear to 0 as
`Trainer`'s default is.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass

import torch
import transformers
from sklearn.metrics import accuracy_score, recall_score

from datasets_on_disk import add_data_flags, read_split
from measurement import peak_memory_mib
from torch_models import autocast, freeze, pad, parameter_groups


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True, help="a Hugging Face folder")
    add_data_flags(parser)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=5e-5, help="of the encoder")
    parser.add_argument("--head-learning-rate", type=float, help="the encoder's if absent")
    parser.add_argument("--lr-scheduler-type", choices=["linear", "cosine", "constant"], default="linear")
    parser.add_argument("--warmup-ratio", type=float, default=0.0)
    parser.add_argument("--weight-decay", type=float, default=0.01, help="on every parameter")
    parser.add_argument("--max-grad-norm", type=float, default=0.0, help="0: no clipping")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--eval-batch-size", type=int, default=32)
    parser.add_argument("--freeze-layers", type=int, default=0, help="embeddings and the first N layers")
    parser.add_argument("--frozen-dropout", action="store_true", help="keep dropout in frozen layers, as PyTorch does unasked")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help="autocast; weights stay fp32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-train-samples", type=int, help="the first N after one seeded shuffle")
    parser.add_argument("--max-eval-samples", type=int, help="the same for validation")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", help="folder for the last weights and the tokenizer")
    return parser.parse_args()


def sample(texts: list[str], labels: list[int], limit: int | None, seed: int) -> tuple[list[str], list[int]]:
    """The first `limit` rows after a seeded shuffle; all of them in file order without a limit."""
    if limit is None:
        return texts, labels
    order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(seed))[:limit].tolist()
    return [texts[i] for i in order], [labels[i] for i in order]


@dataclass
class Optimization:
    """What changes while training, besides the weights."""

    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler
    scaler: torch.amp.GradScaler
    frozen: list[torch.nn.Module]
    shuffle: torch.Generator

    @classmethod
    def of(cls, model, rows: int, arguments: argparse.Namespace) -> "Optimization":
        frozen = freeze(model, arguments.freeze_layers)
        head_learning_rate = arguments.head_learning_rate or arguments.learning_rate
        groups = parameter_groups(model, arguments.learning_rate, head_learning_rate, arguments.weight_decay)
        optimizer = torch.optim.AdamW(groups)
        steps = math.ceil(rows / arguments.batch_size) * arguments.epochs
        warmup_steps = math.ceil(steps * arguments.warmup_ratio)
        scheduler = transformers.get_scheduler(arguments.lr_scheduler_type, optimizer, warmup_steps, steps)
        scaler = torch.amp.GradScaler(arguments.device, enabled=arguments.precision == "fp16")
        return cls(optimizer, scheduler, scaler, frozen, torch.Generator().manual_seed(arguments.seed))

    def step(self, model, loss: torch.Tensor, max_grad_norm: float) -> None:
        """Backward, clipping, update; the schedule stands still on a step that the scaler skips."""
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if max_grad_norm > 0:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() >= scale:
            self.scheduler.step()


def logits_of(model, rows: list[list[int]], arguments: argparse.Namespace) -> torch.Tensor:
    """Logits [rows, labels] in float32 of one batch."""
    inputs = pad(rows, model.config.pad_token_id)
    with autocast(arguments.device, arguments.precision):
        return model(**{name: tensor.to(arguments.device) for name, tensor in inputs.items()}).logits.float()


def train_epoch(model, rows, labels, optimization: Optimization, arguments) -> dict:
    """One pass over the shuffled rows: mean loss and accuracy over the examples, as seen while training."""
    model.train()
    for module in [] if arguments.frozen_dropout else optimization.frozen:
        module.eval()
    loss_sum, correct = 0.0, 0
    start = time.perf_counter()
    for chosen in torch.randperm(len(rows), generator=optimization.shuffle).split(arguments.batch_size):
        targets = labels[chosen].to(arguments.device)
        logits = logits_of(model, [rows[i] for i in chosen], arguments)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        optimization.step(model, loss, arguments.max_grad_norm)
        loss_sum += loss.item() * len(chosen)
        correct += (logits.argmax(-1) == targets).sum().item()
    seconds = time.perf_counter() - start
    return {
        "train_loss": round(loss_sum / len(rows), 5),
        "train_accuracy": round(correct / len(rows), 5),
        "train_seconds": round(seconds, 2),
        "train_examples_per_second": round(len(rows) / seconds, 2),
    }


def evaluate(model, rows, labels, arguments) -> dict:
    """Loss, accuracy and macro recall on the validation rows; batches are sorted by length."""
    model.eval()
    start = time.perf_counter()
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
    logits = torch.empty(len(rows), model.config.num_labels)
    for begin in range(0, len(order), arguments.eval_batch_size):
        chosen = order[begin : begin + arguments.eval_batch_size]
        with torch.inference_mode():
            logits[chosen] = logits_of(model, [rows[i] for i in chosen], arguments).cpu()
    seconds = time.perf_counter() - start
    predicted = logits.argmax(-1)
    return {
        "val_loss": round(torch.nn.functional.cross_entropy(logits, labels).item(), 5),
        "val_accuracy": round(accuracy_score(labels, predicted), 5),
        "val_macro_recall": round(recall_score(labels, predicted, average="macro"), 5),
        "val_seconds": round(seconds, 2),
        "val_examples_per_second": round(len(rows) / seconds, 2),
    }


def load_split(arguments: argparse.Namespace, split: str, limit: int | None, tokenizer):
    """Token ids and labels of one split."""
    texts, labels = sample(*read_split(arguments, split), limit, arguments.seed)
    rows = tokenizer(texts, truncation=True, max_length=arguments.max_length, verbose=False)["input_ids"]
    return rows, torch.tensor(labels)


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(json.dumps({"settings": vars(arguments), "torch": torch.__version__}, default=str), file=sys.stderr)
    torch.manual_seed(arguments.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    train_rows, train_labels = load_split(arguments, "train", arguments.max_train_samples, tokenizer)
    val_rows, val_labels = load_split(arguments, "val", arguments.max_eval_samples, tokenizer)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        arguments.model, num_labels=int(train_labels.max()) + 1, dtype=torch.float32, ignore_mismatched_sizes=True
    ).to(arguments.device)
    optimization = Optimization.of(model, len(train_rows), arguments)
    best = 0.0
    for epoch in range(1, arguments.epochs + 1):
        line = {"epoch": epoch}
        line |= train_epoch(model, train_rows, train_labels, optimization, arguments)
        line |= evaluate(model, val_rows, val_labels, arguments)
        best = max(best, line["val_accuracy"])
        line |= {"best_val_accuracy": best, "peak_memory_mib": peak_memory_mib(), "seed": arguments.seed}
        print(json.dumps(line), flush=True)
    if arguments.output:
        model.save_pretrained(arguments.output)
        tokenizer.save_pretrained(arguments.output)


if __name__ == "__main__":
    main()
