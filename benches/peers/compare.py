"""Runs the same work in Serin and its peers, in alternating rounds, and writes the results. See `benches/compare.sh`."""

import argparse
import datetime
import json
import subprocess
import sys
import time
from pathlib import Path

import comparison_table
import logits_check
import machine
import random_model
import step_texts
from compare_options import REPOSITORY, parse_arguments
from engines import Engine, Inputs, cold_engines, inference_engines, pretraining_engines, step_engines
from shapes import SHAPES

SHARED = REPOSITORY.parent / "shared"
SENTENCES = REPOSITORY / "crates/serin/assets/sentences/imdb_labelled.txt"
SERIN_TINY = REPOSITORY / "crates/serin/assets/serin-tiny"


def existing(*candidates: Path | None) -> Path | None:
    return next((path for path in candidates if path and path.exists()), None)


def prepare(arguments: argparse.Namespace) -> tuple[Inputs, dict]:
    """Makes model and texts, and says what they are."""
    size, texts, frozen = ("tiny", 8, 3) if arguments.quick else ("base", 64, 9)
    folder = arguments.work / size
    folder.mkdir(parents=True, exist_ok=True)
    imdb = existing(arguments.imdb, *SHARED.glob("data/imdb/train*.parquet"))
    rows = step_texts.drawn(imdb, texts) if imdb else step_texts.put_together(SENTENCES, texts)
    batch = step_texts.write(rows, folder / "batch.parquet")
    copies = step_texts.write(rows * 2 * arguments.steps, folder / "copies.parquet")
    step_texts.write(rows[:16], folder / "check.parquet")
    more_texts = 16 * texts
    documents = step_texts.drawn(imdb, more_texts) if imdb else step_texts.put_together(SENTENCES, more_texts)
    documents = step_texts.write(documents, folder / "documents.parquet")
    tokenizer = existing(arguments.tokenizer, SHARED / "tokenizers/roberta-base")
    learned = tokenizer is None
    tokenizer = tokenizer or random_model.learn_tokenizer([text for text, _ in rows], 8192, folder / "tokenizer")
    random_model.make_model_once(folder / "model", size, tokenizer)
    inputs = Inputs(arguments.serin.resolve(), folder / "model", batch, copies, documents, SERIN_TINY,
                    folder / "model/model.onnx", texts, frozen, arguments.steps, arguments.quick)
    return inputs, {
        "model": f"RoBERTa-{size}, random weights",
        "texts": f"{texts} of {imdb.name if imdb else 'sentences put together'}",
        "tokenizer": "learned from the texts" if learned else "RoBERTa's",
    }


def run(engine: Engine, number: int) -> list[dict]:
    """One run of one engine: a record for each work that it did."""
    load = machine.load_average()
    busy, own = machine.busy_seconds(), machine.children_seconds()
    started = time.perf_counter()
    done = subprocess.run(engine.command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    own = machine.children_seconds() - own
    others = max(0.0, machine.busy_seconds() - busy - own) / seconds
    if done.returncode != 0:
        raise SystemExit(f"{engine.name} failed: {' '.join(engine.command)}\n{done.stderr[-2000:]}")
    records = []
    for work, result in engine.read(done.stdout, seconds).items():
        records.append({"part": engine.part, "engine": engine.name, "work": work, "round": number,
                        "milliseconds": result.milliseconds, "fastest_milliseconds": result.fastest, "load_average_before": load,
                        "cores_busy_with_others": round(others, 2), "processor_seconds": round(own, 2), "more": result.more})
        print(f"round {number}, load {load}, others {others:.2f}: {work}, {engine.name}: {result.milliseconds:.2f} ms", flush=True)
    return records


def bench(inputs: Inputs, section: str) -> dict:
    """A whole report of `serin bench`."""
    command = [inputs.serin, "bench", section, "--device", "cpu", "--model", inputs.model, "--precision", "bf16", "--json", "-"]
    command += ["--seconds", 1 if inputs.quick else 30]
    load = machine.load_average()
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return {"load_average_before": load} | json.loads(done.stdout)


def relative(command: list[str]) -> str:
    """A command as it would be typed in the repository."""
    text = " ".join(f'"{word}"' if " " in word else word for word in command)
    return text.replace(f"{REPOSITORY}/", "").replace(sys.executable, "python")


def main() -> None:
    arguments = parse_arguments()
    if arguments.serin is None:
        raise SystemExit("--serin FILE is needed; benches/compare.sh gives it")
    inputs, what = prepare(arguments)
    engines = inference_engines(inputs, SHAPES) + step_engines(inputs)
    engines += pretraining_engines(inputs) + cold_engines(inputs)
    engines = [engine for engine in engines if engine.part in arguments.only]
    started = datetime.datetime.now().astimezone()
    report = {
        "started": started.isoformat(timespec="minutes"),
        "conditions": machine.conditions(inputs.serin, REPOSITORY) | what,
        "commands": {f"{engine.part}: {engine.name}{engine.variant}": relative(engine.command) for engine in engines},
    }
    if "check" in arguments.only:
        report["logits"] = logits_check.check(inputs.serin, inputs.model, inputs.model.parent / "check.parquet")
    report["runs"] = []
    counts = {"inference": arguments.rounds, "fp32": arguments.rounds, "cold": arguments.rounds, "step": arguments.step_rounds,
              "pretrain": arguments.step_rounds}
    for part, section in [("products", "ops"), ("sweep", "inference")]:
        if part in arguments.only:
            report[part] = bench(inputs, section)
    path = write(report, arguments.results, started)
    for part, count in counts.items():
        chosen = [engine for engine in engines if engine.part == part]
        # Every engine once, then all again: what disturbs the machine for a while disturbs all of them.
        for number in range(1, 1 + (1 if arguments.quick else count)):
            for engine in chosen:
                report["runs"] += run(engine, number)
                write(report, arguments.results, started)
    print(comparison_table.markdown(report))
    print(f"written: {path} and {path.with_suffix('.md').name}", file=sys.stderr)


def write(report: dict, folder: Path, started: datetime.datetime) -> Path:
    """What there is by now, so that a run that is broken off has not been for nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{started:%Y-%m-%d}-{machine.slug()}.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(comparison_table.markdown(report), encoding="utf-8")
    return path


if __name__ == "__main__":
    main()
