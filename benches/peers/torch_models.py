"""The models that the comparison runs use, and how they are frozen and grouped, with PyTorch and `transformers`."""

import argparse

import torch
import transformers

SIZES = {
    "base": {},
    "tiny": {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 128},
}


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--model", help="a Hugging Face folder")
    group.add_argument("--random", choices=SIZES, default="base", help="RoBERTa of this size with random weights")


def build_classifier(arguments: argparse.Namespace, attention: str = "sdpa", **config_changes) -> torch.nn.Module:
    """A two-label classifier from the folder or with random weights, in float32 and eval mode."""
    if arguments.model:
        loader = transformers.AutoModelForSequenceClassification
        model = loader.from_pretrained(
            arguments.model, dtype=torch.float32, attn_implementation=attention, **config_changes
        )
        return model.eval()
    config = transformers.RobertaConfig(
        **{
            "vocab_size": 50265,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
            "attn_implementation": attention,
        }
        | SIZES[arguments.random]
        | config_changes
    )
    torch.manual_seed(0)
    return transformers.RobertaForSequenceClassification(config).eval()


def freeze(model: torch.nn.Module, layers: int) -> list[torch.nn.Module]:
    """Freezes the embeddings and the first `layers` layers and returns them; 0 freezes nothing."""
    if layers == 0:
        return []
    base = model.base_model
    stack = base.transformer.layer if model.config.model_type == "distilbert" else base.encoder.layer
    frozen = [base.embeddings, *stack[:layers]]
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def parameter_groups(model: torch.nn.Module, learning_rate: float, head_learning_rate: float, decay: float) -> list[dict]:
    """Encoder and head (whatever lies outside the base model), decay on everything: the recipe's two groups."""
    encoder = [p for p in model.base_model.parameters() if p.requires_grad]
    in_encoder = {id(p) for p in encoder}
    head = [p for p in model.parameters() if p.requires_grad and id(p) not in in_encoder]
    return [
        {"params": encoder, "lr": learning_rate, "weight_decay": decay},
        {"params": head, "lr": head_learning_rate, "weight_decay": decay},
    ]


def autocast(device: str, precision: str):
    """Mixed precision as `torch.amp` does it; nothing for fp32."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return torch.autocast(device, dtype=dtype, enabled=precision != "fp32")


def pad(rows: list[list[int]], pad_id: int, length: int | None = None) -> dict[str, torch.Tensor]:
    """`input_ids` and `attention_mask`, padded on the right to `length` or to the longest."""
    width = length or max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1
    return {"input_ids": ids, "attention_mask": mask}
