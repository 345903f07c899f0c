"""Times steps of masked language modelling in PyTorch on full sequences, as `Trainer` would make them. One JSON line.

Usage: python benches/peers/torch_pretrain.py --config FOLDER --texts texts.parquet [--batch-size 32] [--steps 3]

A `RobertaForMaskedLM` of random weights in the folder's shape with the folder's tokenizer. Documents are packed end to end into
sequences of `--length` tokens, so nothing is padding; 15 % of the tokens are to be guessed (80 % masked, 10 % random, 10 %
kept), AdamW, clipping at 1, SDPA, autocast.
"""

import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import torch
import transformers

from datasets_on_disk import read_parquet
from measurement import forward_flops, peak_memory_mib
from torch_models import autocast

NOT_GUESSED = -100
GUESSED_SHARE = 0.15


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="a Hugging Face folder: shape and tokenizer")
    parser.add_argument("--texts", type=Path, required=True, help="Parquet file with `text` and `label`")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--steps", type=int, default=3, help="timed, after one that is not")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def read_sequences(arguments: argparse.Namespace, tokenizer) -> torch.Tensor:
    """All texts end to end, each behind a separator, cut into `[sequences, length]`."""
    texts, _ = read_parquet(arguments.texts)
    rows = tokenizer(texts, add_special_tokens=False)["input_ids"]
    ids = [token for row in rows for token in [*row, tokenizer.sep_token_id]]
    inner = arguments.length - 2
    whole = len(ids) // inner
    pieces = torch.tensor(ids[: whole * inner]).view(whole, inner)
    column = lambda token: torch.full((whole, 1), token)
    return torch.cat([column(tokenizer.cls_token_id), pieces, column(tokenizer.sep_token_id)], dim=1)


def mask(ids: torch.Tensor, tokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and labels, as `DataCollatorForLanguageModeling` makes them."""
    special = torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    guessed = (torch.rand(ids.shape) < GUESSED_SHARE) & ~special
    draw = torch.rand(ids.shape)
    inputs = torch.where(guessed & (draw < 0.8), tokenizer.mask_token_id, ids)
    inputs = torch.where(guessed & (draw >= 0.9), torch.randint_like(ids, len(tokenizer)), inputs)
    return inputs, torch.where(guessed, ids, NOT_GUESSED)


def step_flops(config, sequences: int, tokens: int) -> float:
    """Forward and twice as much backward: the encoder, and the head at the guessed positions, which alone are needed."""
    head = 2 * config.hidden_size * (config.hidden_size + config.vocab_size) * GUESSED_SHARE
    return 3 * (forward_flops(config, sequences, tokens) + sequences * tokens * head)


def train_step(model, optimizer, inputs: torch.Tensor, labels: torch.Tensor, precision: str) -> float:
    optimizer.zero_grad(set_to_none=True)
    with autocast("cpu", precision):
        loss = model(input_ids=inputs, labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def build(arguments: argparse.Namespace) -> torch.nn.Module:
    config = transformers.AutoConfig.from_pretrained(
        arguments.config,
        hidden_dropout_prob=arguments.dropout,
        attention_probs_dropout_prob=arguments.dropout,
        attn_implementation="sdpa",
    )
    return transformers.RobertaForMaskedLM(config).train()


def main() -> None:
    arguments = parse_arguments()
    torch.manual_seed(arguments.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(arguments.config)
    batches = itertools.cycle(read_sequences(arguments, tokenizer).split(arguments.batch_size))
    model = build(arguments)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
    seconds, losses = [], []
    for ids in itertools.islice(batches, 1 + arguments.steps):
        inputs, labels = mask(ids, tokenizer)
        start = time.perf_counter()
        losses.append(train_step(model, optimizer, inputs, labels, arguments.precision))
        seconds.append((time.perf_counter() - start) / ids.numel())
    per_token = statistics.median(seconds[1:])
    line = {
        "engine": "torch",
        "version": torch.__version__,
        "precision": arguments.precision,
        "dropout": arguments.dropout,
        "steps": arguments.steps,
        "tokens_per_second": round(1 / per_token, 1),
        "tflops": round(step_flops(model.config, 1, arguments.length) / arguments.length / per_token / 1e12, 4),
        "peak_memory_mib": peak_memory_mib(),
        "losses": [round(loss, 4) for loss in losses],
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
