"""Writes crates/checkpoint/tests/data: the same tensors as PyTorch's formats store them.

Run with torch and safetensors installed:  python golden/checkpoint_fixtures.py
`expected.safetensors` holds every tensor contiguous; each .bin must read back as the same bytes.
"""

import os
import pathlib
import zipfile
from collections import OrderedDict

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent.parent / "crates/checkpoint/tests/data"


class Runs:
    def __reduce__(self):
        return (os.system, ("touch /tmp/serin-pickle-ran",))


def tensors():
    generator = torch.Generator().manual_seed(7)
    base = torch.randn(4, 6, generator=generator)
    # Values at the edges of each type: subnormal, largest, infinities.
    edges = torch.tensor([0.0, -0.0, 1.0, 65504.0, 6e-8, float("inf"), float("-inf"), 1e-45])
    return OrderedDict(
        [
            ("float", base),
            ("half", edges.half()),
            ("bfloat", edges.bfloat16()),
            ("double", torch.tensor([0.1, 1e300, -2.5], dtype=torch.float64)),
            ("position_ids", torch.arange(5).expand((1, -1))),
            ("mask", torch.tensor([True, False, True])),
            ("byte", torch.arange(3, dtype=torch.uint8)),
            ("int", torch.arange(3, dtype=torch.int32)),
            ("scalar", torch.tensor(3.5)),
            ("empty", torch.zeros(0, 3)),
            ("transposed", base.t()),
            ("slice", base[1:3, 2:5]),
            ("row", base[2]),
            ("expanded", torch.tensor([1.0, 2.0]).expand(3, 2)),
            ("permuted", torch.randn(2, 3, 4, generator=generator).permute(2, 0, 1)),
            ("parameter", torch.nn.Parameter(torch.tensor([[1.0, -1.0]]))),
        ]
    )


def set_byteorder(source, destination, order):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(destination, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            content = order if entry.filename.endswith("byteorder") else old.read(entry)
            new.writestr(entry.filename, content)


def main():
    HERE.mkdir(parents=True, exist_ok=True)
    state = tensors()
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in state.items()}, HERE / "expected.safetensors")
    torch.save(state, HERE / "zip.bin")
    torch.save(dict(state), HERE / "zip_protocol4.bin", pickle_protocol=4)
    torch.save({"epoch": 3, "lr": 0.1, "state_dict": state, "args": ["a", None, True]}, HERE / "nested.bin")
    torch.save(state, HERE / "legacy.bin", _use_new_zipfile_serialization=False)
    set_byteorder(HERE / "zip.bin", HERE / "big_endian.bin", b"big")
    # state_dict() of a module carries an attribute, _metadata, which is pickled with BUILD.
    torch.manual_seed(7)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.LayerNorm(2))
    torch.save(module.state_dict(), HERE / "module_state.bin")
    save_file(module.state_dict(), HERE / "module_state.safetensors")
    torch.save(module, HERE / "module.bin")
    torch.save({"weight": torch.ones(2), "x": Runs()}, HERE / "malicious.bin")
    torch.save({"weight": torch.ones(2), "x": Runs()}, HERE / "malicious_legacy.bin", _use_new_zipfile_serialization=False)
    for path in sorted(HERE.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
