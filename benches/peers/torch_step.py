"""Times the recipe's training step in PyTorch, on one batch of real texts that is repeated. A JSON line a setup.

Usage: python benches/peers/torch_step.py --model FOLDER --texts batch.parquet [--setup recipe best ...] [--steps 2]

`recipe`: as it was written. The batch padded to its longest text, dropout everywhere (also in the frozen layers),
          autocast + GradScaler, the loss read after every step.
`best`:   the same step as PyTorch runs it best: the frozen part in 16 bits, without dropout and gradients; micro-batches of
          texts of similar length, whose gradients add up to the batch's. Variants of it, by parts of their names:
  `packed`    no padding: the whole batch end to end, attention on jagged nested tensors
  `compiled`  torch.compile
  `graphs`    torch.compile with CUDA graphs (mode reduce-overhead)
  `cached`    the frozen part's output kept in the device's memory, as a user could who does without other texts

All use SDPA and fused AdamW on a GPU, and train the last layers and the head, embeddings and the first 9 layers frozen. Of several
setups one that fails is a line with its error. On a GPU the variants of `best` are waited for once in several steps.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
import transformers

from datasets_on_disk import read_parquet
from measurement import device_memory_mib, peak_memory_mib, report_setups, synchronize
from torch_models import autocast, build_classifier, freeze, pad, parameter_groups
from torch_split import Batch, SplitClassifier, packed_batch, padded_batch

SETUPS = ["recipe", "best", "best-compiled", "best-packed", "best-packed-compiled", "best-cached", "best-cached-compiled",
          "best-cached-graphs", "best-cached-packed", "best-cached-packed-compiled"]
# Widths of padded batches are multiples of this, compiled or not: compiled code is made for each width.
MULTIPLE = {True: 64, False: 8}
# Texts that are padded together: a GPU wants more work at once.
MICRO_BATCH = {"cpu": 8, "cuda": 16}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a Hugging Face folder with a tokenizer: a RoBERTa classifier")
    parser.add_argument("--texts", type=Path, required=True, help="Parquet file with `text` and `label`: the batch")
    parser.add_argument("--setup", nargs="+", choices=SETUPS, default=["recipe"], metavar="SETUP", help=", ".join(SETUPS))
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="bf16")
    parser.add_argument("--micro-batch", type=int, help="texts a forward pass [default: all, best without packing: 8, on a GPU 16]")
    parser.add_argument("--freeze-layers", type=int, default=9)
    parser.add_argument("--dropout", type=float, default=0.1, help="hidden and attention, in what is trained")
    parser.add_argument("--max-length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=2, help="timed")
    parser.add_argument("--warm-up", type=int, default=1, help="steps before, which are not timed")
    parser.add_argument("--together", type=int, default=1, help="steps of `best` between two waits for the device")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    return parser.parse_args()


def read_examples(arguments: argparse.Namespace) -> list[tuple[list[int], int]]:
    """The batch as (ids, label)."""
    texts, labels = read_parquet(arguments.texts)
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.model)
    rows = tokenizer(texts, truncation=True, max_length=arguments.max_length)["input_ids"]
    return list(zip(rows, labels))


class Step:
    """A model with its optimizer, ready for steps of one setup."""

    def __init__(self, setup: str, examples: list, arguments: argparse.Namespace):
        torch.manual_seed(arguments.seed)
        self.setup, self.arguments, self.device = setup, arguments, arguments.device
        self.count = len(examples)
        self.model = build_classifier(
            arguments, hidden_dropout_prob=arguments.dropout, attention_probs_dropout_prob=arguments.dropout
        ).to(self.device)
        self.frozen = freeze(self.model, arguments.freeze_layers)
        self.model.train()
        groups = parameter_groups(self.model, 2e-5, 1e-4, 0.01)
        self.optimizer = torch.optim.AdamW(groups, fused=self.device == "cuda")
        # bf16 needs no scaler; the recipe as written has one whatever it is.
        scaled = arguments.precision == "fp16" or (setup == "recipe" and arguments.precision != "fp32")
        self.scaler = torch.amp.GradScaler(self.device, enabled=scaled)

    def make(self) -> float | torch.Tensor:
        """One optimizer step; losses of micro-batches are averaged over all examples."""
        self.optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part in self.parts:
            loss = torch.nn.functional.cross_entropy(self.logits(part).float(), part[1], reduction="sum") / self.count
            self.scaler.scale(loss).backward()
            total += loss.item() if self.setup == "recipe" else loss.detach()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return total

    def labels(self, examples: list) -> torch.Tensor:
        return torch.tensor([label for _, label in examples], device=self.device)


class RecipeStep(Step):
    """As it was written."""

    def __init__(self, setup: str, examples: list, arguments: argparse.Namespace):
        super().__init__(setup, examples, arguments)
        size = arguments.micro_batch or len(examples)
        chunks = [examples[begin : begin + size] for begin in range(0, len(examples), size)]
        self.parts = [([ids for ids, _ in chunk], self.labels(chunk)) for chunk in chunks]
        self.computed_tokens = sum(len(rows) * max(map(len, rows)) for rows, _ in self.parts)

    def logits(self, part: tuple) -> torch.Tensor:
        inputs = pad(part[0], self.model.config.pad_token_id)
        with autocast(self.device, self.arguments.precision):
            return self.model(**{name: tensor.to(self.device) for name, tensor in inputs.items()}).logits


class BestStep(Step):
    """As PyTorch runs it best; batches are on the device from the start."""

    def __init__(self, setup: str, examples: list, arguments: argparse.Namespace):
        super().__init__(setup, examples, arguments)
        for module in self.frozen:
            module.eval()
            module.to({"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[arguments.precision])
        packed, compiled = "packed" in setup, "compiled" in setup or "graphs" in setup
        mode = "reduce-overhead" if "graphs" in setup else "default"
        self.split = SplitClassifier(self.model, arguments.freeze_layers, packed, mode if compiled else None)
        size = arguments.micro_batch or (len(examples) if packed else MICRO_BATCH[self.device])
        examples = sorted(examples, key=lambda example: len(example[0]))
        chunks = [examples[begin : begin + size] for begin in range(0, len(examples), size)]
        config = self.model.config
        batch = lambda rows: packed_batch(rows, config, self.device) if packed else padded_batch(
            rows, config, self.device, MULTIPLE[compiled])
        self.parts = [(batch([ids for ids, _ in chunk]), self.labels(chunk)) for chunk in chunks]
        self.computed_tokens = sum(part.computed_tokens for part, _ in self.parts)
        if "cached" in setup:
            self.parts = [(part, labels, self.trunk(part).clone()) for part, labels in self.parts]

    def trunk(self, part: Batch) -> torch.Tensor:
        with torch.no_grad():
            return self.split.trunk(part)

    def logits(self, part: tuple) -> torch.Tensor:
        hidden = part[2] if len(part) == 3 else self.trunk(part[0])
        with autocast(self.device, self.arguments.precision):
            return self.split.top(hidden, part[0])


def summary(step: Step, examples: list, seconds: list[float], compiling: float) -> dict:
    """The report on the timed steps. `tokens` are those of the texts; padded ones are what was computed on."""
    arguments = step.arguments
    tokens = sum(len(ids) for ids, _ in examples)
    median = statistics.median(seconds)
    return {
        "engine": "torch",
        "version": torch.__version__,
        "setup": step.setup,
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu",
        "precision": arguments.precision,
        "dropout": arguments.dropout,
        "freeze_layers": arguments.freeze_layers,
        "examples": len(examples),
        "tokens": tokens,
        "padded_tokens": step.computed_tokens,
        "steps": arguments.steps,
        "median_step_seconds": round(median, 6),
        "fastest_step_seconds": round(min(seconds), 6),
        "slowest_step_seconds": round(max(seconds), 6),
        "steps_per_second": round(1 / median, 3),
        "examples_per_second": round(len(examples) / median, 3),
        "tokens_per_second": round(tokens / median, 1),
        "warm_up_seconds": round(compiling, 3),
        "threads": torch.get_num_threads(),
        "peak_memory_mib": peak_memory_mib(),
        "device_memory_mib": device_memory_mib(arguments.device),
    }


def run(setup: str, examples: list, arguments: argparse.Namespace) -> dict:
    """Makes a setup's steps and reports on them."""
    start = time.perf_counter()
    step = (RecipeStep if setup == "recipe" else BestStep)(setup, examples, arguments)
    losses = [step.make() for _ in range(arguments.warm_up)]
    synchronize(arguments.device)
    compiling = time.perf_counter() - start
    together = 1 if setup == "recipe" else max(1, min(arguments.together, arguments.steps))
    seconds = []
    for _ in range(max(1, arguments.steps // together)):
        start = time.perf_counter()
        losses += [step.make() for _ in range(together)]
        synchronize(arguments.device)
        seconds.append((time.perf_counter() - start) / together)
    return summary(step, examples, seconds, compiling) | {"losses": [round(float(loss), 4) for loss in losses]}


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    examples = read_examples(arguments)
    report_setups(lambda setup: run(setup, examples, arguments), arguments)


if __name__ == "__main__":
    main()
