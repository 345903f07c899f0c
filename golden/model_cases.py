"""The tiny models and batches that the goldens are made from: configurations, random weights, ragged batches.

Nothing here is Serin's: classes, configurations and file names are those of `transformers`.
"""

from dataclasses import dataclass, field

import torch
import transformers
from torch.nn import functional

# Sequence lengths of the two batches: one token between the specials (3), the longest that fits (40), odd ones.
BATCH_LENGTHS = ([3, 40, 7, 16, 17, 29], [5, 31, 3, 22, 9, 4])
LONGEST = 40

LABELS_2 = ["negative", "positive"]
LABELS_3 = ["negative", "neutral", "positive"]
LABELS_4 = ["anger", "joy", "optimism", "sadness"]


@dataclass
class Case:
    """One golden: a `transformers` model class, its configuration and how it is trained."""

    name: str
    model_class: str
    config_class: str
    config: dict
    problem_type: str = "single_label_classification"
    class_weights: list | None = None
    label_smoothing: float = 0.0
    frozen_layers: int = 0
    schedule_variant: bool = False
    seed: int = 0
    labels: list = field(default_factory=lambda: LABELS_2)

    def build(self) -> transformers.PreTrainedModel:
        """The model in float32 with random weights, in eval mode (which switches dropout off; gradients still flow)."""
        config = getattr(transformers, self.config_class)(
            **self.config,
            id2label=dict(enumerate(self.labels)),
            label2id={name: index for index, name in enumerate(self.labels)},
            problem_type=self.problem_type,
        )
        config._attn_implementation = "eager"
        model = getattr(transformers, self.model_class)(config)
        randomise(model, self.seed)
        return model.eval()

    def batches(self) -> list[dict]:
        """The two training batches, padded, with `lengths` beside them."""
        generator = torch.Generator().manual_seed(1000 + self.seed)
        return [self._batch(lengths, generator) for lengths in BATCH_LENGTHS]

    def _batch(self, lengths: list[int], generator: torch.Generator) -> dict:
        pad = self.config["pad_token_id"]
        begin, end = (0, 2) if pad == 1 else (1, 2)
        first_word = max(pad, end) + 1
        ids = torch.full((len(lengths), max(lengths)), pad)
        mask = torch.zeros_like(ids)
        type_ids = torch.zeros_like(ids)
        for row, length in enumerate(lengths):
            words = torch.randint(first_word, self.config["vocab_size"], (length - 2,), generator=generator)
            ids[row, :length] = torch.cat([torch.tensor([begin]), words, torch.tensor([end])])
            mask[row, :length] = 1
            if self.config.get("type_vocab_size", 1) > 1 and row % 2 == 1:
                type_ids[row, length // 2 : length] = 1
        return {
            "ids": ids,
            "mask": mask,
            "type_ids": type_ids,
            "lengths": torch.tensor(lengths),
            "labels": self._labels(len(lengths), generator),
        }

    def _labels(self, rows: int, generator: torch.Generator) -> torch.Tensor:
        if self.problem_type == "regression":
            return torch.randn(rows, generator=generator)
        if self.problem_type == "multi_label_classification":
            return torch.randint(0, 2, (rows, len(self.labels)), generator=generator).float()
        return torch.randint(0, len(self.labels), (rows,), generator=generator)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The training loss of these logits, as `transformers` computes it (with weights and smoothing where set)."""
        if self.problem_type == "regression":
            return functional.mse_loss(logits.squeeze(-1), labels.to(logits.dtype))
        if self.problem_type == "multi_label_classification":
            return functional.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        weights = None if self.class_weights is None else torch.tensor(self.class_weights, dtype=logits.dtype)
        return functional.cross_entropy(logits, labels, weight=weights, label_smoothing=self.label_smoothing)


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Large random weights, and nothing left at 0 or 1: a bias or a norm that is ignored must show in the logits."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if "LayerNorm.weight" in name or "layer_norm.weight" in name:
                parameter.copy_(1.0 + 0.2 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.15 * noise)
            else:
                parameter.copy_((0.5 if "embeddings" in name else 0.15) * noise)


def forward(model: torch.nn.Module, batch: dict) -> transformers.modeling_outputs.SequenceClassifierOutput:
    """Runs a classifier or an encoder on a padded batch and asks for the hidden states."""
    arguments = {"input_ids": batch["ids"], "attention_mask": batch["mask"], "output_hidden_states": True}
    if model.config.model_type != "distilbert":
        arguments["token_type_ids"] = batch["type_ids"]
    return model(**arguments)


def packed(padded: torch.Tensor, batch: dict) -> torch.Tensor:
    """[sequences, longest, ...] -> [tokens, ...]: the real tokens alone, sequence after sequence."""
    return padded[batch["mask"].bool()]


def _roberta(hidden: int, heads: int, layers: int, intermediate: int, vocab: int) -> dict:
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_hidden_layers": layers,
        "intermediate_size": intermediate,
        "max_position_embeddings": LONGEST + 2,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-5,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
    }


def _bert(hidden: int, heads: int, **more) -> dict:
    return {
        "vocab_size": 64,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_hidden_layers": 2,
        "intermediate_size": 56,
        "max_position_embeddings": LONGEST,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        **more,
    }


def _roberta_case(name: str, config: dict, **more) -> Case:
    return Case(name, "RobertaForSequenceClassification", "RobertaConfig", config, **more)


def _bert_case(name: str, config: dict, **more) -> Case:
    return Case(name, "BertForSequenceClassification", "BertConfig", config, **more)


SMALL_ROBERTA = _roberta(hidden=32, heads=2, layers=2, intermediate=56, vocab=64)
TINIEST_ROBERTA = _roberta(hidden=32, heads=2, layers=1, intermediate=40, vocab=48)
TINIEST_BERT = _bert(32, 2, num_hidden_layers=1, vocab_size=48, intermediate_size=40)
DISTILBERT = {
    "vocab_size": 64,
    "dim": 32,
    "n_heads": 2,
    "n_layers": 2,
    "hidden_dim": 56,
    "max_position_embeddings": LONGEST,
    "sinusoidal_pos_embds": False,
    "pad_token_id": 0,
}

CASES = [
    _roberta_case("roberta", _roberta(64, 2, 3, 128, 120), labels=LABELS_3, seed=1, schedule_variant=True),
    _roberta_case("roberta_head64", _roberta(128, 2, 2, 64, 64), seed=2),
    Case("xlm_roberta", "XLMRobertaForSequenceClassification", "XLMRobertaConfig", SMALL_ROBERTA, seed=3),
    Case("camembert", "CamembertForSequenceClassification", "CamembertConfig", SMALL_ROBERTA, labels=LABELS_3, seed=4),
    _bert_case("bert", _bert(32, 2), labels=LABELS_3, seed=5),
    _bert_case("bert_headdim12", _bert(48, 4), seed=6),
    _bert_case("bert_gelu_new", _bert(32, 2, hidden_act="gelu_new"), seed=7),
    Case("distilbert", "DistilBertForSequenceClassification", "DistilBertConfig", DISTILBERT, seed=8),
    _roberta_case(
        "roberta_multilabel", SMALL_ROBERTA, problem_type="multi_label_classification", labels=LABELS_4, seed=9
    ),
    _roberta_case("roberta_regression", SMALL_ROBERTA, problem_type="regression", labels=["score"], seed=10),
    _roberta_case(
        "roberta_weighted",
        SMALL_ROBERTA,
        labels=LABELS_3,
        class_weights=[0.5, 1.25, 3.0],
        label_smoothing=0.1,
        seed=11,
    ),
    _roberta_case("roberta_frozen", {**SMALL_ROBERTA, "num_hidden_layers": 3}, labels=LABELS_3, frozen_layers=2, seed=12),
]
