"""A classifier as other runtimes take it: two integer tensors in, logits out."""

import torch


class Exportable(torch.nn.Module):
    """`(input_ids, attention_mask)`, each [sequences, tokens] int64, to logits [sequences, labels]."""

    def __init__(self, classifier: torch.nn.Module):
        super().__init__()
        self.classifier = classifier
        self.eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits


def example_inputs(config) -> tuple[torch.Tensor, torch.Tensor]:
    """Two sequences of 16 tokens, the second one padded from its tenth token on: masks must survive the export."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, config.vocab_size, (2, 16), generator=generator)
    mask = torch.ones_like(ids)
    ids[1, 10:], mask[1, 10:] = config.pad_token_id, 0
    return ids, mask
