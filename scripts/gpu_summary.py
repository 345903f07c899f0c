"""One Markdown table of what scripts/gpu.sh measured so far. Needs nothing but Python.

Usage: python scripts/gpu_summary.py OUT >OUT/summary.md

What was not run is an empty cell, and what cannot be read is told as such: neither hides the other rows.
"""

import json
import re
import sys
from pathlib import Path

# What the recipe reported, in steps a second.
REPORTED = 2.60
PRODUCTS = "linear"


def read_json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def read_lines(path: Path) -> list[dict]:
    """Lines of JSON, but for torn ones."""
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return [line for line in lines if isinstance(line, dict)]


class Results:
    """The files of OUT; each getter raises whatever reading it raises."""

    def __init__(self, out: Path):
        self.out = out

    def step(self, epoch: str) -> float:
        return read_json(self.out / "bench-step.json")["step"][epoch]["steps_per_second"]

    def forecast(self) -> float:
        return read_json(self.out / "bench-step.json")["step"]["forecast"]["seconds"]

    def torch_steps(self) -> dict[str, float]:
        """Steps a second by setup, of those that ran."""
        files = [self.out / name for name in ("torch-step.jsonl", "torch-recipe-fp16.jsonl")]
        if not any(file.exists() for file in files):
            raise FileNotFoundError(files[0])
        lines = [line for file in files if file.exists() for line in read_lines(file) if "steps_per_second" in line]
        found: dict[str, float] = {}
        for line in lines:
            found[line["setup"]] = max(found.get(line["setup"], 0.0), line["steps_per_second"])
        if not found:
            raise LookupError("no setup of PyTorch ran")
        return found

    def fastest(self, cached: bool | None = None) -> tuple[str, float]:
        """Of PyTorch at its best: the setup and its steps a second."""
        steps = {name: speed for name, speed in self.torch_steps().items() if name != "recipe"}
        chosen = {name: speed for name, speed in steps.items() if cached is None or ("cached" in name) == cached}
        return max(chosen.items(), key=lambda item: item[1])

    def texts(self, what: str) -> float:
        return read_json(self.out / "texts.json")["texts"][f"{what}_tokens_per_second"]

    def torch_texts(self, what: str) -> tuple[str, float]:
        key = f"{what}_tokens_per_second"
        lines = [line for line in read_lines(self.out / "torch-texts.jsonl") if key in line]
        return max(((line["setup"], line[key]) for line in lines), key=lambda item: item[1])

    def products(self) -> tuple[float, float]:
        """FLOP/s of a trained layer's products, forward and backward, together; and of the peak, measured in the same run."""
        ops = [op for op in read_json(self.out / "bench-ops.json")["ops"] if op["name"].startswith(PRODUCTS)]
        peak = ops[0]["tflops"] * 1e14 / ops[0]["percent_of_peak"]
        return sum(op["flops"] for op in ops) / sum(op["milliseconds"]["median"] for op in ops) * 1e3, peak

    def losses(self, name: str) -> list[float]:
        return [line["loss"] for line in read_lines(self.out / f"sentences-{name}.jsonl") if "loss" in line]

    def difference(self, precision: str, one: str, other: str) -> tuple[float, int]:
        """The largest relative difference of losses, and over how many steps."""
        pairs = list(zip(self.losses(f"{precision}-{one}"), self.losses(f"{precision}-{other}"), strict=True))
        return max(abs(a - b) / abs(a) for a, b in pairs), len(pairs)

    def best(self, name: str, key: str) -> float:
        return max(line[key] for line in read_lines(self.out / f"{name}.jsonl") if key in line)

    def ended(self, name: str) -> dict:
        """How a step ended, the last time that it was run."""
        found = [line for line in read_lines(self.out / "steps.jsonl") if line["step"] == name]
        if not found:
            raise FileNotFoundError(name)
        return found[-1]

    def steps(self) -> list[dict]:
        """The last run of every step."""
        return list({line["step"]: line for line in read_lines(self.out / "steps.jsonl")}.values())


def row(what: str, target: str, measure) -> str:
    """`measure` gives what was measured and whether that is enough: True, False, or None where nothing is asked."""
    try:
        said, enough = measure()
    except FileNotFoundError:
        said, enough = "not run", None
    except Exception as error:  # whatever is wrong with one file, the other rows are told
        said, enough = f"cannot be read: {error or type(error).__name__}", None
    verdict = {True: "yes", False: "**no**", None: ""}[enough]
    return f"| {what} | {said} | {target} | {verdict} |"


def ratio(ours: float, theirs: tuple[str, float], least: float | None, unit: str):
    setup, speed = theirs
    times = ours / speed
    return f"{times:.2f}× ({ours:,.1f} and {speed:,.1f} {unit}, {setup})", None if least is None else times >= least


def passed(results: Results, name: str):
    ended = results.ended(name)
    return ("passed" if ended["status"] == 0 else f"failed with {ended['status']}"), ended["status"] == 0


def wall(results: Results):
    ended = results.ended("recipe")
    epochs = sum("eval_accuracy" in line for line in read_lines(results.out / "recipe.jsonl"))
    said = f"{ended['seconds']} s, {epochs} epochs" + ("" if ended["status"] == 0 else f", ended with {ended['status']}")
    return said, ended["status"] == 0 and epochs >= 12 and ended["seconds"] <= 120


def rows(results: Results) -> list[str]:
    """The whole table but its head."""
    recipe = lambda: ("recipe", results.torch_steps()["recipe"])

    def cached_step():
        speed = results.step("later_epochs")
        return f"{speed:.1f} steps/s, {speed / REPORTED:.0f}× what was reported", speed >= 130

    def losses(precision: str):
        apart, steps = results.difference(precision, "cpu", "cuda")
        return f"{apart:.1e} at most over {steps} steps", apart <= {"fp32": 1e-3, "bf16": 5e-2}[precision]

    def share():
        found, peak = results.products()
        return f"{100 * found / peak:.0f} % ({found / 1e12:.1f} of {peak / 1e12:.1f} TFLOP/s)", found / peak >= 0.5

    def accuracy():
        ours, theirs = results.best("finetune", "eval_accuracy"), results.best("torch-finetune", "val_accuracy")
        return f"{ours:.4f}, PyTorch {theirs:.4f}", ours >= theirs - 0.005

    table = [
        row("recipe step, frozen layers cached", f"≥ 130 steps/s, aim 300 (reported {REPORTED:.2f})", cached_step),
        row("the same against PyTorch at its best", "≥ 4×",
            lambda: ratio(results.step("later_epochs"), results.fastest(), 4, "steps/s")),
        row("the same against PyTorch with a cache of its own", "",
            lambda: ratio(results.step("later_epochs"), results.fastest(cached=True), None, "steps/s")),
        row("recipe step, frozen layers computed, against PyTorch as written", "≥ 3×",
            lambda: ratio(results.step("first_epoch"), recipe(), 3, "steps/s")),
        row("the same against PyTorch at its best without a cache", "",
            lambda: ratio(results.step("first_epoch"), results.fastest(cached=False), None, "steps/s")),
        row("whole recipe, 12 epochs with evaluation", "≤ 120 s", lambda: wall(results)),
        row("the same, forecast from steps", "", lambda: (f"{results.forecast():.0f} s", None)),
        row("inference of reviews against PyTorch compiled, model alone", "≥ 2×",
            lambda: ratio(results.texts("model"), results.torch_texts("model"), 2, "tokens/s")),
        row("the same with tokenizing", "",
            lambda: ratio(results.texts("whole"), results.torch_texts("whole"), None, "tokens/s")),
        row("the layers' products, of the largest bf16 product", "≥ 50 %", share),
        row("losses on CPU and GPU, fp32", "≤ 1e-3", lambda: losses("fp32")),
        row("losses on CPU and GPU, bf16", "≤ 5e-2", lambda: losses("bf16")),
        row("a checkpoint fine-tuned on IMDB: accuracy", "PyTorch's, less 0.005", accuracy),
        row("the same bits twice", "", lambda: passed(results, "same-bits")),
    ]
    named = {"test-conformance": "every op against the reference", "test-model": "models against PyTorch's goldens",
             "test-ceiling": "the yardstick", "sanitizer-memcheck": "compute-sanitizer, memcheck",
             "sanitizer-racecheck": "compute-sanitizer, racecheck", "sanitizer-initcheck": "compute-sanitizer, initcheck"}
    return table + [row(f"{what} on the card", "", lambda name=name: passed(results, name)) for name, what in named.items()]


def card(out: Path) -> str:
    """The card's line of nvidia-smi, or what `serin bench` says of the device."""
    try:
        return read_json(out / "bench-step.json")["conditions"]["device"]
    except (OSError, LookupError, ValueError):
        pass
    try:
        names = re.findall(r"NVIDIA [A-Z][^|]*?(?=\s{2,}|\s+(?:On|Off)\s)", (out / "card.txt").read_text(encoding="utf-8"))
        return names[-1] if names else "unknown"
    except OSError:
        return "unknown"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: gpu_summary.py OUT")
    results = Results(Path(sys.argv[1]))
    print(f"# The GPU backend on {card(results.out)}\n")
    if (results.out / "quick").exists():
        print("Tiny models and few steps, to try the script: no number here means anything.\n")
    print("| what | measured | target | met |\n| --- | --- | --- | --- |")
    print("\n".join(rows(results)))
    try:
        steps = results.steps()
    except OSError:
        steps = []
    if steps:
        print("\n| step | ended with | seconds |\n| --- | ---: | ---: |")
        print("\n".join(f"| {line['step']} | {line['status']} | {line['seconds']} |" for line in steps))
    setups = results.torch_steps() if (results.out / "torch-step.jsonl").exists() else {}
    if setups:
        print("\n| PyTorch's step | steps/s |\n| --- | ---: |")
        print("\n".join(f"| {name} | {speed:.2f} |" for name, speed in sorted(setups.items(), key=lambda item: -item[1])))


if __name__ == "__main__":
    main()
