"""Inference with ONNX Runtime, exported from the `transformers` model: one JSON line a shape.

Usage: python benches/peers/onnxruntime_infer.py [--model FOLDER | --random base]

Float32 alone: ONNX Runtime's x86 kernels know no bf16.
"""

import argparse
import tempfile
from pathlib import Path

import numpy
import onnxruntime
import torch

from exportable import Exportable, example_inputs
from measurement import add_timing_flags, measure, parse_shape, report_inference
from torch_models import add_model_flags, build_classifier

NAMES = ["input_ids", "attention_mask"]


def export(classifier: torch.nn.Module, path: Path) -> None:
    """Writes the classifier with free numbers of sequences and tokens."""
    dimensions = {0: torch.export.Dim("sequences"), 1: torch.export.Dim("tokens", max=512)}
    torch.onnx.export(
        Exportable(classifier),
        example_inputs(classifier.config),
        path,
        input_names=NAMES,
        output_names=["logits"],
        dynamic_shapes={name: dimensions for name in NAMES},
        dynamo=True,
        verbose=False,
    )


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--exported", type=Path, help="the exported model: made where it is not there, kept")
    add_model_flags(parser)
    add_timing_flags(parser)
    arguments = parser.parse_args()
    classifier = build_classifier(arguments)
    examples = example_inputs(classifier.config)
    with torch.inference_mode():
        expected = Exportable(classifier)(*examples).numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.exported or Path(folder) / "model.onnx"
        if not path.exists():
            export(classifier, path)
        session = open_session(path, arguments.threads)
    got = session.run(None, dict(zip(NAMES, (tensor.numpy() for tensor in examples))))[0]
    difference = float(numpy.abs(got - expected).max())
    for shape in arguments.shapes:
        ids = numpy.random.default_rng(0).integers(5, classifier.config.vocab_size, parse_shape(shape))
        inputs = {"input_ids": ids, "attention_mask": numpy.ones_like(ids)}
        seconds = measure(lambda: session.run(None, inputs), arguments)
        report_inference("onnxruntime", onnxruntime.__version__, "fp32", classifier.config, shape, seconds,
                         difference_to_torch=difference)


if __name__ == "__main__":
    main()
