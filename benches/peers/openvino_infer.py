"""Inference with OpenVINO, converted from the `transformers` model: one JSON line a shape.

Usage: python benches/peers/openvino_infer.py [--model FOLDER | --random base] [--precision bf16] [--hint latency]
"""

import argparse

import numpy
import openvino
import torch

from exportable import Exportable, example_inputs
from measurement import add_timing_flags, measure, parse_shape, report_inference
from torch_models import add_model_flags, build_classifier


def compile_for(model: openvino.Model, shape: tuple[int, int], arguments: argparse.Namespace) -> openvino.CompiledModel:
    """Compiles for one fixed shape, which OpenVINO runs faster than a dynamic one."""
    model.reshape({port: list(shape) for port in model.inputs})
    settings = {
        "PERFORMANCE_HINT": arguments.hint.upper(),
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[arguments.precision],
    }
    if arguments.threads:
        settings["INFERENCE_NUM_THREADS"] = arguments.threads
    return openvino.Core().compile_model(model, "CPU", settings)


def difference_to_torch(classifier: torch.nn.Module, converted: openvino.Model, arguments: argparse.Namespace) -> float:
    """The largest difference of a logit to PyTorch's in float32, on a padded batch."""
    examples = example_inputs(classifier.config)
    with torch.inference_mode():
        expected = Exportable(classifier)(*examples).numpy()
    compiled = compile_for(converted.clone(), tuple(examples[0].shape), arguments)
    got = compiled([tensor.numpy() for tensor in examples])[0]
    return float(numpy.abs(got - expected).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_model_flags(parser)
    add_timing_flags(parser)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--hint", choices=["latency", "throughput"], default="latency")
    arguments = parser.parse_args()
    classifier = build_classifier(arguments)
    converted = openvino.convert_model(Exportable(classifier), example_input=example_inputs(classifier.config))
    difference = difference_to_torch(classifier, converted, arguments)
    for shape in arguments.shapes:
        size = parse_shape(shape)
        request = compile_for(converted.clone(), size, arguments).create_infer_request()
        ids = numpy.random.default_rng(0).integers(5, classifier.config.vocab_size, size)
        inputs = [ids, numpy.ones_like(ids)]
        seconds = measure(lambda: request.infer(inputs, share_inputs=True), arguments)
        report_inference("openvino", openvino.__version__, arguments.precision, classifier.config, shape, seconds,
                         hint=arguments.hint, difference_to_torch=difference)


if __name__ == "__main__":
    main()
