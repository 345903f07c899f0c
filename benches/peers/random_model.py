"""Makes the model that all engines run: a RoBERTa of random weights, always the same, as a Hugging Face folder.

Usage: python benches/peers/random_model.py OUT [--random base] [--tokenizer FOLDER]
"""

import argparse
import shutil
from pathlib import Path

import tokenizers
import torch
import transformers

from torch_models import SIZES, build_classifier

# Larger than the usual 0.02, with which logits of all texts are nearly the same and a comparison would notice little.
INITIALIZER_RANGE = {"base": 0.05, "tiny": 0.2}
SPECIAL_TOKENS = ["<s>", "<pad>", "</s>", "<unk>"]


def learn_tokenizer(texts: list[str], vocab_size: int, out: Path) -> Path:
    """A byte-level BPE of these texts, where RoBERTa's own is not at hand; ids of special tokens are RoBERTa's."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(texts, vocab_size=vocab_size - 1, special_tokens=SPECIAL_TOKENS, show_progress=False)
    out.mkdir(parents=True, exist_ok=True)
    tokenizer.save_model(str(out))
    return out


def make_model(out: Path, size: str, tokenizer: Path) -> None:
    """Writes config.json, model.safetensors (float32) and the tokenizer of `vocab.json` and `merges.txt`."""
    classifier = build_classifier(argparse.Namespace(model=None, random=size), initializer_range=INITIALIZER_RANGE[size])
    classifier.save_pretrained(out)
    files = {"vocab": str(tokenizer / "vocab.json"), "merges": str(tokenizer / "merges.txt")}
    transformers.RobertaTokenizer(**files, model_max_length=512).save_pretrained(out)


def make_model_once(out: Path, size: str, tokenizer: Path) -> None:
    """Does not make the very same model again."""
    recipe = f"{size} {INITIALIZER_RANGE[size]} {tokenizer.resolve()} {torch.__version__} {transformers.__version__}"
    stamp = out / "recipe.txt"
    if not stamp.exists() or stamp.read_text() != recipe:
        shutil.rmtree(out, ignore_errors=True)
        make_model(out, size, tokenizer)
        stamp.write_text(recipe)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--random", choices=SIZES, default="base")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of vocab.json and merges.txt")
    arguments = parser.parse_args()
    make_model(arguments.out, arguments.random, arguments.tokenizer)


if __name__ == "__main__":
    main()
