"""RoBERTa classifiers of `transformers` in two parts, on padded or packed batches: what a user of PyTorch can do to be fast.

A packed batch is its texts end to end without padding; attention inside each is PyTorch's own on jagged nested tensors, which on a
GPU is flash attention for texts of unlike length. The trunk is the frozen part, the top the rest and the head.
"""

from dataclasses import dataclass

import torch
import transformers

PACKED = "packed"


@dataclass
class Batch:
    """Texts on a device: `ids` and `positions` are `[texts, width]` with a mask, or `[1, tokens]` with offsets."""

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor | None
    offsets: torch.Tensor | None
    longest: int
    tokens: int

    @property
    def computed_tokens(self) -> int:
        """With padding."""
        return self.ids.numel()


def padded_batch(rows: list[list[int]], config, device: str, multiple: int = 1) -> Batch:
    """To the longest text's length, rounded up to a multiple."""
    longest = max(map(len, rows))
    width = -(-longest // multiple) * multiple
    ids = torch.full((len(rows), width), config.pad_token_id)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
    there = torch.arange(width)[None] < torch.tensor([len(row) for row in rows])[:, None]
    positions = torch.where(there, torch.arange(width) + config.pad_token_id + 1, config.pad_token_id)
    mask = there[:, None, None, :].expand(-1, 1, width, -1)
    tokens = sum(map(len, rows))
    return Batch(ids.to(device), positions.to(device), mask.to(device), None, longest, tokens)


def packed_batch(rows: list[list[int]], config, device: str) -> Batch:
    """End to end."""
    lengths = torch.tensor([0] + [len(row) for row in rows])
    ids = torch.tensor([[id for row in rows for id in row]])
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None] + config.pad_token_id + 1
    offsets = lengths.cumsum(0).to(device)
    return Batch(ids.to(device), positions.to(device), None, offsets, max(map(len, rows)), ids.numel())


def packed_attention(module, query, key, value, attention_mask, dropout=0.0, scaling=None, offsets=None, longest=None, **_):
    """Attention inside each text; `query`, `key` and `value` are `[1, heads, tokens, width]`."""
    nested = lambda x: torch.nested.nested_tensor_from_jagged(
        x[0].transpose(0, 1).contiguous(), offsets, min_seqlen=1, max_seqlen=longest
    ).transpose(1, 2)
    out = torch.nn.functional.scaled_dot_product_attention(
        nested(query), nested(key), nested(value), dropout_p=dropout, scale=scaling
    )
    return out.transpose(1, 2).values()[None], None


transformers.AttentionInterface.register(PACKED, packed_attention)


class SplitClassifier:
    """The two parts of a model as functions; `compiled` is a mode of torch.compile, `dynamic` whether its code takes any size."""

    def __init__(self, model, frozen_layers: int, packed: bool, compiled: str | None = None, dynamic: bool | None = None):
        if packed:
            model.set_attn_implementation(PACKED)
        self.model = model
        layers = model.base_model.encoder.layer
        self.lower, self.upper = layers[:frozen_layers], layers[frozen_layers:]
        wrap = (lambda part: torch.compile(part, mode=compiled, dynamic=dynamic)) if compiled else (lambda part: part)
        self.trunk, self.top = wrap(self._trunk), wrap(self._top)

    def _trunk(self, batch: Batch) -> torch.Tensor:
        """Embeddings and frozen layers: `[1 or texts, tokens or width, hidden]`."""
        embeddings = self.model.base_model.embeddings
        types = torch.zeros_like(batch.ids)
        hidden = embeddings(input_ids=batch.ids, position_ids=batch.positions, token_type_ids=types)
        return self._run(self.lower, hidden, batch)

    def _top(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Trained layers and head: logits `[texts, labels]`."""
        hidden = self._run(self.upper, hidden, batch)
        first = hidden[:, :1] if batch.offsets is None else hidden[0, batch.offsets[:-1]][:, None]
        return self.model.classifier(first)

    @staticmethod
    def _run(layers, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        more = {} if batch.offsets is None else {"offsets": batch.offsets, "longest": batch.longest}
        for layer in layers:
            out = layer(hidden, batch.mask, **more)
            # Older versions of `transformers` give a tuple.
            hidden = out[0] if isinstance(out, tuple) else out
        return hidden
