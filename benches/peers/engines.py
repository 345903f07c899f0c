"""The commands of a comparison, and how their output is read: one `Engine` runs some works and gives milliseconds."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

PEERS = Path(__file__).parent
# What the name of a shape ends with where it is computed in fp32.
FP32 = ", fp32"
STEP = "step"
CACHED_STEP = "step, later epochs"
COLD = "cold process"
# Name of the work: dropout.
PRETRAINING = {"pretraining": 0.1, "pretraining, no dropout": 0.0}
PRETRAINING_BATCH, PRETRAINING_LENGTH = 32, 512


@dataclass
class Result:
    """What one run says about one work."""

    milliseconds: float
    more: dict = field(default_factory=dict)
    # Of the fastest repetition, where the engine tells it.
    fastest: float | None = None


@dataclass
class Engine:
    """A program with its settings. `read` makes {work: Result} of its standard output and the seconds it took."""

    name: str
    part: str
    command: list[str]
    read: Callable[[str, float], dict[str, Result]]
    # Where one engine runs several works with a command each: which of them.
    variant: str = ""


@dataclass
class Inputs:
    """What all engines are given."""

    serin: Path
    model: Path
    batch: Path
    copies: Path
    documents: Path
    encoder: Path
    exported: Path
    texts: int
    frozen: int
    steps: int
    quick: bool


def read_lines(output: str, _: float) -> dict[str, Result]:
    """JSON lines of the inference scripts."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {line["shape"]: Result(line["median_ms"], line, line["fastest_ms"]) for line in lines}


def read_torch_step(output: str, _: float) -> dict[str, Result]:
    line = json.loads(output.splitlines()[-1])
    return {STEP: Result(line["median_step_seconds"] * 1e3, line)}


def read_serin_inference(output: str, _: float) -> dict[str, Result]:
    results = {}
    for shape in json.loads(output)["inference"]:
        times = shape["measured"]["milliseconds"]
        results[f"{shape['sequences']}x{shape['length']}"] = Result(times["median"], shape, times["min"])
    return results


def read_serin_step(output: str, _: float) -> dict[str, Result]:
    """Steps of an epoch are of unlike length (the same texts, shuffled), so all of them together count."""
    step = json.loads(output)["step"]
    results = {}
    for work, key in [(STEP, "first_epoch"), (CACHED_STEP, "later_epochs")]:
        epoch = step[key]
        more = {name: epoch[name] for name in ["examples", "tokens", "examples_per_second"]}
        more |= {"step_milliseconds": epoch["step"]["milliseconds"], "peak_memory": step["peak_memory"]}
        results[work] = Result(epoch["examples"] / epoch["examples_per_second"] * 1e3, more)
    return results


def pretraining_result(tokens_per_second: float, more: dict) -> Result:
    """The time of one batch, whatever the batches were that it was measured on."""
    return Result(PRETRAINING_BATCH * PRETRAINING_LENGTH / tokens_per_second * 1e3, more)


def read_torch_pretraining(work: str) -> Callable[[str, float], dict[str, Result]]:
    def read(output: str, _: float) -> dict[str, Result]:
        line = json.loads(output.splitlines()[-1])
        return {work: pretraining_result(line["tokens_per_second"], line)}

    return read


def read_serin_pretraining(work: str, out: Path) -> Callable[[str, float], dict[str, Result]]:
    """The last line of the run's log is on all steps since the evaluation before, which is none here."""

    def read(_: str, __: float) -> dict[str, Result]:
        line = json.loads((out / "train_log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        return {work: pretraining_result(line["train_tokens_per_second"], line)}

    return read


def in_fp32(read: Callable[[str, float], dict[str, Result]]) -> Callable[[str, float], dict[str, Result]]:
    """The same works under names of their own."""
    return lambda output, seconds: {work + FP32: result for work, result in read(output, seconds).items()}


def inference_engines(inputs: Inputs, shapes: list[str]) -> list[Engine]:
    """In bf16 where an engine has it, then all in fp32; each in the settings that are fastest here."""
    seconds = (0.5 if inputs.quick else 3) * len(shapes)
    timing = ["--shapes", *shapes, "--warmup", "1"]
    timing += ["--repetitions", "1", "--least-seconds", "0"] if inputs.quick else ["--repetitions", "4"]
    serin = lambda precision: [inputs.serin, "bench", "inference", "--device", "cpu", "--model", inputs.model, "--precision",
                               precision, "--seconds", seconds, "--shapes", *shapes, "--json", "-"]
    script = lambda name, *more: [sys.executable, PEERS / name, "--model", inputs.model, *more, *timing]
    openvino = lambda precision: script("openvino_infer.py", "--precision", precision, "--hint", "latency")
    onnx_runtime = script("onnxruntime_infer.py", "--exported", inputs.exported)
    commands = [
        ("Serin", "inference", serin("bf16"), read_serin_inference),
        ("PyTorch autocast", "inference", script("torch_infer.py", "--precision", "bf16"), read_lines),
        ("PyTorch bf16 weights", "inference", script("torch_infer.py", "--precision", "bf16-weights"), read_lines),
        ("OpenVINO", "inference", openvino("bf16"), read_lines),
        ("ONNX Runtime fp32", "inference", onnx_runtime, read_lines),
        ("Serin", "fp32", serin("fp32"), in_fp32(read_serin_inference)),
        ("PyTorch", "fp32", script("torch_infer.py", "--precision", "fp32"), in_fp32(read_lines)),
        ("OpenVINO", "fp32", openvino("fp32"), in_fp32(read_lines)),
        ("ONNX Runtime", "fp32", onnx_runtime, in_fp32(read_lines)),
    ]
    return [Engine(name, part, list(map(str, command)), read) for name, part, command, read in commands]


def step_engines(inputs: Inputs) -> list[Engine]:
    """The recipe's step: all engines are given the same texts as one batch."""
    torch = lambda *more: [sys.executable, PEERS / "torch_step.py", "--model", inputs.model, "--texts", inputs.batch,
                           "--freeze-layers", inputs.frozen, "--steps", inputs.steps, *more]
    serin = [inputs.serin, "bench", "step", "--device", "cpu", "--model", inputs.model, "--train-file", inputs.copies,
             "--precision", "bf16", "--batch-size", inputs.texts, "--steps", 2 * inputs.steps, "--freeze-layers", inputs.frozen, "--json", "-"]
    commands = [
        ("Serin", serin, read_serin_step),
        ("PyTorch at its best", torch("--setup", "best"), read_torch_step),
        ("PyTorch at its best, no dropout", torch("--setup", "best", "--dropout", 0), read_torch_step),
        ("PyTorch as written", torch("--setup", "recipe"), read_torch_step),
    ]
    return [Engine(name, "step", list(map(str, command)), read) for name, command, read in commands]


def pretraining_engines(inputs: Inputs) -> list[Engine]:
    """serin-tiny's shape from random weights, on full sequences of the same documents; the first step is timed in Serin only."""
    engines = []
    for work, dropout in PRETRAINING.items():
        out = inputs.documents.parent / "pretrained"
        common = ["--batch-size", PRETRAINING_BATCH]
        serin = [inputs.serin, "pretrain", "--config-name", inputs.encoder, "--tokenizer-name", inputs.encoder, "--train-file",
                 inputs.documents, "--max-length", PRETRAINING_LENGTH, "--validation-fraction", 0.05, "--precision", "bf16",
                 "--hidden-dropout-prob", dropout, "--attention-probs-dropout-prob", dropout, "--num-train-epochs", 1,
                 *common, "--output-dir", out, "--overwrite-output-dir", "--quiet"]
        torch = [sys.executable, PEERS / "torch_pretrain.py", "--config", inputs.encoder, "--texts", inputs.documents,
                 "--length", PRETRAINING_LENGTH, "--dropout", dropout, "--steps", inputs.steps, *common]
        commands = [("Serin", serin, read_serin_pretraining(work, out)), ("PyTorch", torch, read_torch_pretraining(work))]
        engines += [Engine(name, "pretrain", list(map(str, command)), read, f", dropout {dropout}") for name, command, read in commands]
    return engines


def cold_engines(inputs: Inputs) -> list[Engine]:
    """From the start of the process to its end; the weights' file is in the page cache."""
    command = [str(inputs.serin), "predict", str(inputs.model), "What a film!", "--quiet"]
    return [Engine("Serin", "cold", command, lambda _, seconds: {COLD: Result(seconds * 1e3)})]
