"""Timing shared by the comparison runs: medians over repetitions, operation counts, JSON lines."""

import argparse
import json
import resource
import statistics
import sys
import time

from shapes import SHAPES


def add_timing_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shapes", nargs="+", default=SHAPES, metavar="SEQUENCESxTOKENS")
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--least-seconds", type=float, default=1.0, help="repeated for so long at least, a shape")
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="0: the engine's own choice")


def parse_shape(shape: str) -> tuple[int, int]:
    sequences, tokens = shape.split("x")
    return int(sequences), int(tokens)


def peak_memory_mib() -> float:
    """The process's largest resident size so far (Linux counts in KiB)."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def device_memory_mib(device: str) -> float:
    """The most that PyTorch has held on a GPU so far; 0 on the CPU."""
    import torch

    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if device == "cuda" else 0.0


def synchronize(device: str) -> None:
    """Waits for a GPU."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def report_setups(run, arguments: argparse.Namespace) -> None:
    """Prints the JSON line that `run(setup)` gives for each of `arguments.setup`; one that fails of several is a line with its error."""
    import torch

    done = 0
    for setup in arguments.setup:
        torch.compiler.reset()
        try:
            line = run(setup)
            done += 1
        except Exception as error:
            if len(arguments.setup) == 1:
                raise
            line = {"engine": "torch", "setup": setup, "error": f"{type(error).__name__}: {error}"[:500]}
        print(json.dumps(line), flush=True)
        if arguments.device == "cuda":
            torch.cuda.empty_cache()
    sys.exit(0 if done else "no setup ran")


def forward_flops(config, sequences: int, tokens: int) -> float:
    """Multiplications and additions of the encoder's matrix products: 8h² + 4hi a token for the linear layers, 4Th for attention."""
    hidden, intermediate = config.hidden_size, config.intermediate_size
    a_token = 8 * hidden**2 + 4 * hidden * intermediate + 4 * tokens * hidden
    return float(sequences * tokens * config.num_hidden_layers * a_token)


def measure(run, arguments: argparse.Namespace) -> list[float]:
    """Seconds of each repetition of `run()`, after unmeasured ones that warm up."""
    for _ in range(arguments.warmup):
        run()
    seconds: list[float] = []
    while len(seconds) < arguments.repetitions or sum(seconds) < arguments.least_seconds:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


def report_inference(engine: str, version: str, precision: str, config, shape: str, seconds: list[float], **more) -> None:
    """Prints one JSON line on a shape."""
    sequences, tokens = parse_shape(shape)
    median = statistics.median(seconds)
    line = {
        "engine": engine,
        "version": version,
        "precision": precision,
        "shape": shape,
        "median_ms": round(median * 1e3, 3),
        "fastest_ms": round(min(seconds) * 1e3, 3),
        "slowest_ms": round(max(seconds) * 1e3, 3),
        "repetitions": len(seconds),
        "tokens_per_second": round(sequences * tokens / median, 1),
        "tflops": round(forward_flops(config, sequences, tokens) / median / 1e12, 4),
        "peak_memory_mib": peak_memory_mib(),
    }
    print(json.dumps(line | more), flush=True)
