"""Writes golden/models/variants/<name>/: one tiny model in every shape that checkpoints come in, to test loading.

Usage: python golden/model_variants.py [--out golden/models/variants]

Each folder that must load holds `golden.safetensors` with `ids`, `lengths`, `type_ids` and what PyTorch computes in float64
from the weights as stored: `logits`, or, where the checkpoint has no classification head, `last_hidden_state`. A folder
named `fail_*` must be refused.
"""

import argparse
import copy
import json
import pickle
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

from model_cases import LABELS_2, TINIEST_BERT, TINIEST_ROBERTA, Case, forward, packed, randomise

ROBERTA = Case("roberta", "RobertaForSequenceClassification", "RobertaConfig", TINIEST_ROBERTA, labels=LABELS_2, seed=21)
BERT = Case("bert", "BertForSequenceClassification", "BertConfig", TINIEST_BERT, labels=LABELS_2, seed=22)
PAD_3 = {**TINIEST_ROBERTA, "pad_token_id": 3, "max_position_embeddings": 44}
ROBERTA_PAD_3 = Case("pad_3", "RobertaForSequenceClassification", "RobertaConfig", PAD_3, labels=LABELS_2, seed=23)


def save_golden(folder: Path, model: torch.nn.Module, case: Case = ROBERTA) -> None:
    """Runs `model` in float64 on the case's first batch and stores the result beside the checkpoint."""
    batch = case.batches()[0]
    with torch.no_grad():
        output = forward(copy.deepcopy(model).double().eval(), batch)
    tensors = {
        "ids": packed(batch["ids"], batch).to(torch.int32),
        "type_ids": packed(batch["type_ids"], batch).to(torch.int32),
        "lengths": batch["lengths"].to(torch.int32),
    }
    if hasattr(output, "logits") and output.logits.shape[-1] != model.config.vocab_size:
        tensors["logits"] = output.logits
    else:
        tensors["last_hidden_state"] = packed(output.hidden_states[-1], batch).float()
    save_file(tensors, folder / "golden.safetensors")


def change_weights(folder: Path, change) -> None:
    """Rewrites `model.safetensors` with what `change` makes of its tensors."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def change_config(folder: Path, change) -> None:
    """Rewrites `config.json` after `change` has edited it in place."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    change(config)
    file.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def save_bin(folder: Path, state: dict, name: str = "pytorch_model.bin", zipped: bool = True) -> None:
    """Writes a state dict as `torch.save` did, in place of the safetensors file."""
    (folder / "model.safetensors").unlink(missing_ok=True)
    torch.save(OrderedDict(state), folder / name, _use_new_zipfile_serialization=zipped)


def language_model() -> torch.nn.Module:
    """A masked language model: `lm_head.*`, whose decoder is tied to the word embeddings."""
    config = transformers.RobertaConfig(**TINIEST_ROBERTA)
    model = transformers.RobertaForMaskedLM(config)
    randomise(model, 24)
    model.tie_weights()
    return model.eval()


def encoder_only() -> torch.nn.Module:
    """A bare encoder without pooler; its tensors carry no `roberta.` prefix."""
    model = transformers.RobertaModel(transformers.RobertaConfig(**TINIEST_ROBERTA), add_pooling_layer=False)
    randomise(model, 25)
    return model.eval()


def old_norm_name(name: str) -> str:
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def write_plain(folder: Path) -> None:
    ROBERTA.build().save_pretrained(folder)


def write_sharded(folder: Path) -> None:
    ROBERTA.build().save_pretrained(folder, max_shard_size="16KB")


def write_bin(folder: Path) -> None:
    write_plain(folder)
    save_bin(folder, ROBERTA.build().state_dict())


def write_bin_legacy(folder: Path) -> None:
    """The format before PyTorch 1.6: pickles one after the other, no zip."""
    write_plain(folder)
    save_bin(folder, ROBERTA.build().state_dict(), zipped=False)


def write_bin_sharded(folder: Path) -> None:
    write_plain(folder)
    state = ROBERTA.build().state_dict()
    names = list(state)
    files = ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin"]
    for file, part in zip(files, [names[:10], names[10:]]):
        save_bin(folder, {name: state[name].clone() for name in part}, file)
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in state.values())},
        "weight_map": {name: files[0] if i < 10 else files[1] for i, name in enumerate(names)},
    }
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")


def write_bin_views(folder: Path) -> None:
    """Tensors that are transposed or offset views of a shared storage, and parameters instead of plain tensors."""
    write_plain(folder)
    state = OrderedDict(ROBERTA.build().state_dict())
    query = "roberta.encoder.layer.0.attention.self.query.weight"
    state[query] = state[query].t().contiguous().t()
    both = torch.cat([state["classifier.dense.bias"], state["classifier.out_proj.bias"]])
    state["classifier.dense.bias"], state["classifier.out_proj.bias"] = both[:-2], both[-2:]
    state["classifier.dense.weight"] = torch.nn.Parameter(state["classifier.dense.weight"])
    save_bin(folder, state)


def write_module_prefix(folder: Path) -> None:
    write_plain(folder)
    change_weights(folder, lambda tensors: {f"module.{name}": tensor for name, tensor in tensors.items()})


def write_position_ids(folder: Path) -> None:
    write_plain(folder)
    positions = torch.arange(TINIEST_ROBERTA["max_position_embeddings"]).reshape(1, -1)
    change_weights(folder, lambda tensors: tensors | {"roberta.embeddings.position_ids": positions})


def write_pooler(folder: Path) -> None:
    write_plain(folder)
    extra = {"roberta.pooler.dense.weight": torch.ones(32, 32), "roberta.pooler.dense.bias": torch.ones(32)}
    change_weights(folder, lambda tensors: tensors | extra)


def write_no_id2label(folder: Path) -> None:
    write_plain(folder)
    change_config(folder, lambda config: [config.pop(key) for key in ("id2label", "label2id", "problem_type")])


def write_version_4_config(folder: Path) -> None:
    """float16 weights, named by `torch_dtype` as version 4 of transformers did."""
    ROBERTA.build().half().save_pretrained(folder)
    change_config(folder, lambda config: config.update(torch_dtype=config.pop("dtype"), transformers_version="4.57.1"))


def write_gamma_beta(folder: Path) -> None:
    BERT.build().save_pretrained(folder)
    change_weights(folder, lambda tensors: {old_norm_name(name): tensor for name, tensor in tensors.items()})


def write_language_model_bin(folder: Path) -> None:
    """The tied matrix is in the file twice by name and once by storage."""
    language_model().save_pretrained(folder)
    save_bin(folder, language_model().state_dict())


def fail_missing_tensor(folder: Path) -> None:
    write_plain(folder)
    lost = "roberta.encoder.layer.0.output.dense.weight"
    change_weights(folder, lambda tensors: {name: tensor for name, tensor in tensors.items() if name != lost})


def fail_wrong_shape(folder: Path) -> None:
    write_plain(folder)
    name = "roberta.encoder.layer.0.output.dense.weight"
    change_weights(folder, lambda tensors: tensors | {name: tensors[name].t().contiguous()})


def fail_nan(folder: Path) -> None:
    write_plain(folder)

    def poison(tensors: dict) -> dict:
        tensors["roberta.encoder.layer.0.attention.output.dense.weight"][3, 5] = float("nan")
        return tensors

    change_weights(folder, poison)


class RunsACommand:
    """Unpickles by calling `os.system`: the harmless twin of a hostile checkpoint."""

    def __reduce__(self):
        import os

        return os.system, ("echo this checkpoint ran a command >&2",)


def fail_bin_runs_code(folder: Path) -> None:
    write_plain(folder)
    (folder / "model.safetensors").unlink()
    program = pickle.dumps({"classifier.dense.weight": RunsACommand()}, protocol=2)
    with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
        for name, content in [("data.pkl", program), ("byteorder", b"little"), ("version", b"3\n")]:
            archive.writestr(zipfile.ZipInfo(f"pytorch_model/{name}", date_time=(1980, 1, 1, 0, 0, 0)), content)


# name -> (writer, the model whose float64 result is stored; None where the folder must be refused)
VARIANTS = {
    "plain": (write_plain, ROBERTA.build),
    "sharded": (write_sharded, ROBERTA.build),
    "bin": (write_bin, ROBERTA.build),
    "bin_legacy": (write_bin_legacy, ROBERTA.build),
    "bin_sharded": (write_bin_sharded, ROBERTA.build),
    "bin_views": (write_bin_views, ROBERTA.build),
    "module_prefix": (write_module_prefix, ROBERTA.build),
    "position_ids": (write_position_ids, ROBERTA.build),
    "pooler": (write_pooler, ROBERTA.build),
    "no_id2label": (write_no_id2label, ROBERTA.build),
    "bf16": (lambda folder: ROBERTA.build().bfloat16().save_pretrained(folder), lambda: ROBERTA.build().bfloat16()),
    "fp16": (write_version_4_config, lambda: ROBERTA.build().half()),
    "encoder_only": (lambda folder: encoder_only().save_pretrained(folder), encoder_only),
    "masked_lm": (lambda folder: language_model().save_pretrained(folder), language_model),
    "masked_lm_bin": (write_language_model_bin, language_model),
    "gamma_beta": (write_gamma_beta, BERT.build),
    "pad_3": (lambda folder: ROBERTA_PAD_3.build().save_pretrained(folder), ROBERTA_PAD_3.build),
    "fail_missing_tensor": (fail_missing_tensor, None),
    "fail_wrong_shape": (fail_wrong_shape, None),
    "fail_nan": (fail_nan, None),
    "fail_bin_runs_code": (fail_bin_runs_code, None),
}
CASE_OF = {"gamma_beta": BERT, "pad_3": ROBERTA_PAD_3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "models" / "variants")
    out = parser.parse_args().out
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name, (write, model) in VARIANTS.items():
        folder = out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write(folder)
        if model is not None:
            save_golden(folder, model(), CASE_OF.get(name, ROBERTA))
        print(name, sorted(file.name for file in folder.iterdir()))


if __name__ == "__main__":
    main()
