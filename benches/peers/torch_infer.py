"""Inference with PyTorch and `transformers`: one JSON line a shape.

Usage: python benches/peers/torch_infer.py [--model FOLDER | --random base] [--precision bf16]
"""

import argparse

import torch

from measurement import add_timing_flags, measure, parse_shape, report_inference
from torch_models import add_model_flags, autocast, build_classifier


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add_model_flags(parser)
    add_timing_flags(parser)
    parser.add_argument("--precision", choices=["fp32", "bf16", "bf16-weights"], default="bf16",
                        help="bf16: autocast over float32 weights; bf16-weights: everything in bf16")
    parser.add_argument("--compile", action="store_true", help="torch.compile, a graph for each shape")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = build_classifier(arguments)
    if arguments.precision == "bf16-weights":
        model = model.bfloat16()
    forward = torch.compile(model, dynamic=False) if arguments.compile else model
    for shape in arguments.shapes:
        # Full-length sequences need no mask, which lets SDPA take its fastest path.
        ids = torch.randint(5, model.config.vocab_size, parse_shape(shape))
        with torch.inference_mode(), autocast("cpu", "bf16" if arguments.precision == "bf16" else "fp32"):
            seconds = measure(lambda: forward(input_ids=ids), arguments)
        report_inference("torch", torch.__version__, arguments.precision, model.config, shape, seconds,
                         compiled=arguments.compile, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
