"""Writes golden/masked_language/<case>/: tiny masked language models, and what PyTorch computes from them.

Usage: python golden/masked_language_goldens.py [--out golden/masked_language] [--only CASE ...]

The files are those of model_goldens.py, with masked rows and their tokens in place of labels (see golden/README.md).
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from torch.nn import functional

from model_cases import DISTILBERT, TINIEST_BERT, TINIEST_ROBERTA, Case, forward, packed, randomise
from model_goldens import (
    MAX_GRAD_NORM,
    ROW_STRIDE,
    STEPS,
    WARMUP_STEPS,
    WEIGHT_DECAY,
    batch_tensors,
    has_no_gradient,
    is_norm_or_bias,
    save,
    write_cases,
)

LEARNING_RATE = 1e-3
BETAS = (0.9, 0.98)
EPSILON = 1e-6
# More than the 15 % of real runs, so that every sequence of some length has some.
MASKED_SHARE = 0.25


@dataclass
class MaskedCase(Case):
    """A golden of masked language modelling."""

    def build(self) -> transformers.PreTrainedModel:
        """The model in float32 with random weights, in eval mode."""
        config = getattr(transformers, self.config_class)(**self.config)
        config._attn_implementation = "eager"
        model = getattr(transformers, self.model_class)(config)
        randomise(model, self.seed)
        shared = model.get_input_embeddings().weight is model.get_output_embeddings().weight
        assert shared == self.config.get("tie_word_embeddings", True), "tied as configured"
        return model.eval()

    def _batch(self, lengths: list[int], generator: torch.Generator) -> dict:
        """A batch whose masked tokens are replaced by the last id; `rows` count packed tokens."""
        batch = super()._batch(lengths, generator)
        ids = packed(batch["ids"], batch)
        ends = batch["lengths"].cumsum(0)
        chosen = torch.rand(len(ids), generator=generator) < MASKED_SHARE
        chosen[ends - 1] = False
        chosen[ends - batch["lengths"]] = False
        rows = chosen.nonzero().flatten()
        targets = ids[rows].clone()
        ids[rows] = self.config["vocab_size"] - 1
        batch["ids"][batch["mask"].bool()] = ids
        return batch | {"rows": rows, "targets": targets}


def masked_logits(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """[masked tokens, vocabulary]."""
    return packed(forward(model, batch).logits, batch)[batch["rows"]]


def loss_of(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """The mean over the masked tokens."""
    return functional.cross_entropy(masked_logits(model, batch), batch["targets"])


def trained(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Every parameter that the loss depends on, the tied ones once; an untied RoBERTa has an `lm_head.bias` in no use."""
    unused = set()
    if not model.config.tie_word_embeddings:
        unused = {"lm_head.bias", "cls.predictions.bias"}
    return {name: parameter for name, parameter in model.named_parameters() if name not in unused}


def forward_and_backward(model: torch.nn.Module, batch: dict) -> dict[str, torch.Tensor]:
    """logits, loss and grad/* of one batch."""
    model.zero_grad()
    logits = masked_logits(model, batch)
    loss = functional.cross_entropy(logits, batch["targets"])
    loss.backward()
    tensors = {"logits": logits, "loss": loss.reshape(1)}
    tensors |= {f"grad/{name}": parameter.grad for name, parameter in trained(model).items()}
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def train(model: torch.nn.Module, batches: list[dict]) -> dict[str, torch.Tensor]:
    """Ten AdamW steps on alternating batches: losses, gradient norms before clipping, final weights."""
    parameters = trained(model)
    exempt = [parameter for name, parameter in parameters.items() if is_norm_or_bias(name)]
    others = [parameter for name, parameter in parameters.items() if not is_norm_or_bias(name)]
    groups = [{"params": others, "weight_decay": WEIGHT_DECAY}, {"params": exempt, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE, betas=BETAS, eps=EPSILON)
    scheduler = transformers.get_linear_schedule_with_warmup(optimizer, WARMUP_STEPS, STEPS)
    losses, norms = [], []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = loss_of(model, batches[step % 2])
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(list(parameters.values()), MAX_GRAD_NORM).item())
        losses.append(loss.item())
        optimizer.step()
        scheduler.step()
    final = {name: parameter.detach().clone() for name, parameter in parameters.items() if not has_no_gradient(name)}
    return {
        "losses": torch.tensor(losses, dtype=torch.float64),
        "grad_norms": torch.tensor(norms, dtype=torch.float64),
    } | {f"final/{name}": tensor for name, tensor in final.items()}


def compute(case: MaskedCase, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Everything of one case, in the dtype of `model`."""
    batches = case.batches()
    return forward_and_backward(model, batches[0]) | train(copy.deepcopy(model), batches)


def masked_tensors(batches: list[dict]) -> dict[str, torch.Tensor]:
    tensors = {name: tensor for name, tensor in batch_tensors(batches).items() if not name.endswith("labels")}
    for prefix, batch in zip(["", "second/"], batches):
        tensors |= {f"{prefix}rows": batch["rows"], f"{prefix}targets": batch["targets"]}
    return tensors


def settings(case: MaskedCase) -> dict:
    return {
        "case": case.name,
        "row_stride": ROW_STRIDE,
        "optimizer": {
            "steps": STEPS,
            "learning_rate": LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "betas": BETAS,
            "eps": EPSILON,
            "warmup_steps": WARMUP_STEPS,
            "max_grad_norm": MAX_GRAD_NORM,
        },
        "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
    }


def write(case: MaskedCase, out: Path) -> None:
    model = case.build()
    double = compute(case, copy.deepcopy(model).double())
    single = compute(case, model)
    print(save(out / case.name, model, masked_tensors(case.batches()), settings(case), single, double))


# Heads of 12, which is no multiple of a vector, in all cases but the first.
NARROW_ROBERTA = {**TINIEST_ROBERTA, "hidden_size": 24}

CASES = [
    MaskedCase("roberta", "RobertaForMaskedLM", "RobertaConfig", TINIEST_ROBERTA, seed=21),
    MaskedCase(
        "roberta_untied", "RobertaForMaskedLM", "RobertaConfig", {**NARROW_ROBERTA, "tie_word_embeddings": False}, seed=22
    ),
    MaskedCase("bert", "BertForMaskedLM", "BertConfig", {**TINIEST_BERT, "hidden_size": 24}, seed=23),
    MaskedCase(
        "distilbert",
        "DistilBertForMaskedLM",
        "DistilBertConfig",
        {**DISTILBERT, "n_layers": 1, "vocab_size": 48, "dim": 24, "hidden_dim": 40},
        seed=24,
    ),
]


if __name__ == "__main__":
    write_cases(__doc__, "masked_language", CASES, write)
