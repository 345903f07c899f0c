"""Writes golden/models/<case>/: tiny checkpoints, and what PyTorch computes from them.

Usage: python golden/model_goldens.py [--out golden/models] [--only CASE ...]

For each case: `config.json` and `model.safetensors` exactly as `save_pretrained` writes them, `golden.safetensors`
(see golden/README.md for every name) and `golden.json` (the settings, and how far PyTorch's own float32 run is away from
the float64 one that is stored). Same versions, same bytes.
"""

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

from model_cases import CASES, Case, forward, packed

STEPS = 10
ENCODER_LEARNING_RATE = 2e-3
HEAD_LEARNING_RATE = 1e-2
WEIGHT_DECAY = 0.01
BETAS = (0.9, 0.999)
EPSILON = 1e-8
WARMUP_STEPS = 3
MAX_GRAD_NORM = 1.0
# Gradients with more elements than this, and all trained matrices, are stored as every ROW_STRIDE-th row: the folder
# stays small, no tensor is left out, and 9 is coprime to every vector width.
WHOLE_ELEMENTS = 1024
ROW_STRIDE = 9


def is_head(name: str) -> bool:
    """Whether a parameter belongs to the classification head (BERT's pooler is the encoder's)."""
    return name.startswith(("classifier.", "pre_classifier."))


def has_no_gradient(name: str) -> bool:
    """Key biases add one number to all scores of a query, which softmax ignores: their gradient is rounding noise."""
    return name.endswith(("attention.self.key.bias", "attention.k_lin.bias"))


def is_norm_or_bias(name: str) -> bool:
    """What `Trainer` leaves out of weight decay."""
    return name.endswith(".bias") or "LayerNorm" in name or "layer_norm" in name


def freeze(model: torch.nn.Module, layers: int) -> None:
    """Freezes the embeddings and the first `layers` encoder layers."""
    if layers == 0:
        return
    encoder = model.base_model
    for module in [encoder.embeddings, *encoder.encoder.layer[:layers]]:
        module.requires_grad_(False)


def trainable(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def forward_and_backward(case: Case, model: torch.nn.Module, batch: dict) -> dict[str, torch.Tensor]:
    """hidden_states/*, logits, loss and grad/* of one batch."""
    model.zero_grad()
    output = forward(model, batch)
    loss = case.loss(output.logits, batch["labels"])
    loss.backward()
    tensors = {f"hidden_states/{i}": packed(state, batch) for i, state in enumerate(output.hidden_states)}
    tensors["logits"] = output.logits
    tensors["loss"] = loss.reshape(1)
    tensors.update({f"grad/{name}": parameter.grad for name, parameter in trainable(model).items()})
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def groups_plain(parameters: dict) -> list[dict]:
    """Two groups by learning rate, decay on everything."""
    encoder = [parameter for name, parameter in parameters.items() if not is_head(name)]
    head = [parameter for name, parameter in parameters.items() if is_head(name)]
    return [
        {"params": encoder, "lr": ENCODER_LEARNING_RATE, "weight_decay": WEIGHT_DECAY},
        {"params": head, "lr": HEAD_LEARNING_RATE, "weight_decay": WEIGHT_DECAY},
    ]


def groups_without_decay_on_norm_and_bias(parameters: dict) -> list[dict]:
    """The same two learning rates, each split by whether the parameter decays."""
    groups = []
    for head, learning_rate in [(False, ENCODER_LEARNING_RATE), (True, HEAD_LEARNING_RATE)]:
        for exempt, decay in [(False, WEIGHT_DECAY), (True, 0.0)]:
            chosen = [p for n, p in parameters.items() if is_head(n) == head and is_norm_or_bias(n) == exempt]
            groups.append({"params": chosen, "lr": learning_rate, "weight_decay": decay})
    return groups


def train(case: Case, model: torch.nn.Module, batches: list[dict], schedule_variant: bool) -> dict[str, torch.Tensor]:
    """Ten AdamW steps on alternating batches: losses, learning rates, gradient norms before clipping, final weights."""
    parameters = trainable(model)
    groups = groups_without_decay_on_norm_and_bias(parameters) if schedule_variant else groups_plain(parameters)
    optimizer = torch.optim.AdamW(groups, betas=BETAS, eps=EPSILON)
    scheduler = None
    if schedule_variant:
        scheduler = transformers.get_linear_schedule_with_warmup(optimizer, WARMUP_STEPS, STEPS)
    losses, norms, rates = [], [], []
    for step in range(STEPS):
        batch = batches[step % 2]
        optimizer.zero_grad()
        loss = case.loss(forward(model, batch).logits, batch["labels"])
        loss.backward()
        limit = MAX_GRAD_NORM if schedule_variant else float("inf")
        norms.append(torch.nn.utils.clip_grad_norm_(list(parameters.values()), limit).item())
        rates.append([optimizer.param_groups[0]["lr"], optimizer.param_groups[-1]["lr"]])
        losses.append(loss.item())
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    prefix = "warmup/" if schedule_variant else ""
    tensors = {
        f"{prefix}losses": torch.tensor(losses, dtype=torch.float64),
        f"{prefix}grad_norms": torch.tensor(norms, dtype=torch.float64),
        f"{prefix}learning_rates": torch.tensor(rates, dtype=torch.float64),
    }
    final = {name: parameter.detach().clone() for name, parameter in parameters.items() if not has_no_gradient(name)}
    return tensors | {f"{prefix}final/{name}": tensor for name, tensor in final.items()}


def compute(case: Case, model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Everything of one case, in the dtype of `model`."""
    batches = case.batches()
    freeze(model, case.frozen_layers)
    tensors = forward_and_backward(case, model, batches[0])
    tensors |= train(case, copy.deepcopy(model), batches, schedule_variant=False)
    if case.schedule_variant:
        tensors |= train(case, copy.deepcopy(model), batches, schedule_variant=True)
    return tensors


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """|got - expected| / |expected|, Euclidean norms over the whole tensor."""
    norm = expected.double().norm().item()
    return (got.double() - expected.double()).norm().item() / norm if norm > 0 else 0.0


def float32_errors(single: dict, double: dict) -> dict[str, float]:
    """The worst relative error of PyTorch's own float32 run, by kind of tensor: what a float32 engine may be away."""
    worst = {}
    for name, expected in double.items():
        if has_no_gradient(name) or name.endswith("learning_rates"):
            continue
        kind = "warmup/" + name.split("/")[1] if name.startswith("warmup/") else name.split("/")[0]
        worst[kind] = max(worst.get(kind, 0.0), relative_error(single[name], expected))
    return {kind: float(f"{error:.2e}") for kind, error in worst.items()}


def stored(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """F64 for logits and numbers of a run, F32 for the rest, I32 for integers; large matrices thinned by rows."""
    if tensor.dtype == torch.int64:
        return tensor.to(torch.int32)
    if "grad/" in name or "final/" in name:
        thinned = tensor.dim() == 2 and ("final/" in name or tensor.numel() > WHOLE_ELEMENTS)
        return (tensor[::ROW_STRIDE] if thinned else tensor).float().contiguous()
    if name.startswith("hidden_states/"):
        return tensor.float().contiguous()
    return tensor.contiguous()


def batch_tensors(batches: list[dict]) -> dict[str, torch.Tensor]:
    tensors = {}
    for prefix, batch in zip(["", "second/"], batches):
        tensors[f"{prefix}lengths"] = batch["lengths"]
        tensors[f"{prefix}ids"] = packed(batch["ids"], batch)
        tensors[f"{prefix}type_ids"] = packed(batch["type_ids"], batch)
        tensors[f"{prefix}labels"] = batch["labels"]
    return tensors


def settings(case: Case) -> dict:
    return {
        "case": case.name,
        "problem_type": case.problem_type,
        "class_weights": case.class_weights,
        "label_smoothing": case.label_smoothing,
        "frozen_layers": case.frozen_layers,
        "row_stride": ROW_STRIDE,
        "optimizer": {
            "steps": STEPS,
            "encoder_learning_rate": ENCODER_LEARNING_RATE,
            "head_learning_rate": HEAD_LEARNING_RATE,
            "weight_decay": WEIGHT_DECAY,
            "betas": BETAS,
            "eps": EPSILON,
        },
        "warmup": {"warmup_steps": WARMUP_STEPS, "max_grad_norm": MAX_GRAD_NORM} if case.schedule_variant else None,
        "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
    }


def save(folder: Path, model: torch.nn.Module, tensors: dict, description: dict, single: dict, double: dict) -> str:
    """Writes the four files of a case; `tensors` are the batches, `single` and `double` the results in both precisions."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    everything = tensors | double
    save_file({name: stored(name, tensor) for name, tensor in everything.items()}, folder / "golden.safetensors")
    description = description | {"float32_relative_errors": float32_errors(single, double)}
    (folder / "golden.json").write_text(json.dumps(description, indent=2) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1000
    return (f"{folder.name}: {size:.0f} KB, loss {double['loss'].item():.4f}, "
            f"after {STEPS} steps {double['losses'][-1].item():.4f}, {description['float32_relative_errors']}")


def write(case: Case, out: Path) -> None:
    model = case.build()
    double = compute(case, copy.deepcopy(model).double())
    single = compute(case, model)
    print(save(out / case.name, model, batch_tensors(case.batches()), settings(case), single, double))


def write_cases(description: str, default_out: str, cases: list[Case], write_case: Callable[[Case, Path], None]) -> None:
    """The command line of a script that writes goldens."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / default_out)
    parser.add_argument("--only", nargs="*", help="names of cases; all of them otherwise")
    arguments = parser.parse_args()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    for case in cases:
        if not arguments.only or case.name in arguments.only:
            write_case(case, arguments.out)


if __name__ == "__main__":
    write_cases(__doc__, "models", CASES, write)
