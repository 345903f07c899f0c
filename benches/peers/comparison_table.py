"""The results of a comparison as a Markdown page: conditions, medians over the rounds with their spread, ratios."""

import json
import statistics
import sys
from pathlib import Path

from engines import CACHED_STEP, COLD, FP32, PRETRAINING, PRETRAINING_BATCH, PRETRAINING_LENGTH, STEP
from shapes import INFERENCE

TITLES = {
    **INFERENCE,
    **{work + FP32: f"{title}, fp32" for work, title in INFERENCE.items()},
    STEP: "a training step of the recipe, frozen layers computed (first epoch)",
    CACHED_STEP: "a training step of the recipe, frozen layers cached (later epochs)",
    **{work: f"{work}: a step of {PRETRAINING_BATCH} × {PRETRAINING_LENGTH} tokens, serin-tiny's shape" for work in PRETRAINING},
    COLD: "`serin predict MODEL TEXT` from a cold process",
}


def values(report: dict, work: str) -> dict[str, list[dict]]:
    """Records of a work by engine. Peers have no cache: in later epochs their step is the same as in the first."""
    found: dict[str, list[dict]] = {}
    for record in report["runs"]:
        same_step = work == CACHED_STEP and record["work"] == STEP and record["engine"] != "Serin"
        if record["work"] == work or same_step:
            found.setdefault(record["engine"], []).append(record)
    return found


def speed(work: str, milliseconds: float, record: dict) -> str:
    """Tokens a second of inference, examples a second of training."""
    if work in (STEP, CACHED_STEP):
        return f"{record['more']['examples'] / milliseconds * 1e3:,.2f} examples/s"
    if work in PRETRAINING:
        return f"{PRETRAINING_BATCH * PRETRAINING_LENGTH / milliseconds * 1e3:,.0f} tokens/s"
    if work.removesuffix(FP32) in INFERENCE:
        sequences, length = map(int, work.removesuffix(FP32).split("x"))
        return f"{sequences * length / milliseconds * 1e3:,.0f} tokens/s"
    return ""


def fastest(record: dict) -> float:
    """Milliseconds of the fastest repetition of a round where each is known, else of the round."""
    return record.get("fastest_milliseconds") or record["milliseconds"]


def rows(report: dict, work: str) -> list[str]:
    """A row an engine: a ratio is how many times as long as Serin it takes."""
    by_engine = values(report, work)
    medians = {engine: statistics.median(r["milliseconds"] for r in found) for engine, found in by_engine.items()}
    best = {engine: min(map(fastest, found)) for engine, found in by_engine.items()}
    to_serin = lambda times, engine: f"{times[engine] / times['Serin']:.2f}" if "Serin" in times else ""
    lines = []
    for engine, found in by_engine.items():
        times = [record["milliseconds"] for record in found]
        loads = [record["load_average_before"] for record in found]
        others = [record["cores_busy_with_others"] for record in found]
        lines.append(
            f"| {TITLES[work]} | {engine} | {medians[engine]:,.1f} ms | {min(times):,.1f}–{max(times):,.1f} | {len(times)} | "
            f"{speed(work, medians[engine], found[0])} | {to_serin(medians, engine)} | {best[engine]:,.1f} ms | "
            f"{to_serin(best, engine)} | {min(loads)}–{max(loads)} | {min(others)}–{max(others)} |"
        )
    return lines


def product_rows(report: dict) -> list[str]:
    """Matrix products of `serin bench ops`."""
    return [
        f"| {op['name']} {op['detail']} | {op['milliseconds']['median']:.2f} ms | {op['tflops']:.2f} | "
        f"{op['percent_of_peak']:.0f} % | {op['percent_of_ceiling']:.0f} % |"
        for op in report["products"]["ops"] if op.get("percent_of_peak")
    ]


def markdown(report: dict) -> str:
    """The whole page."""
    facts = report["conditions"]
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    lines = [
        f"# Comparison of {report['started']}",
        "",
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gib']} GiB; Linux {facts['kernel']}; "
        f"{facts['serin']} at {facts['commit']}; Python {facts['python']}, {packages}.",
        f"{facts['model']}; training on {facts['texts']}; tokenizer: {facts['tokenizer']}.",
        "",
    ]
    for check in report.get("logits", []):
        lines.append(f"- Serin's {check['precision']} logits of {check['texts']} texts differ from PyTorch's fp32 by "
                     f"{check['largest_difference']:.1e} at most (bound {check['bound']:.0e}; the texts' own differ by "
                     f"{check['spread_over_texts']:.1e}).")
    lines += ["", "Medians over rounds, the shortest and the longest round; the fastest single repetition where an engine tells it, which a "
              "machine that others slow down for seconds disturbs least; ratios: how many times Serin's time.", "",
              "| work | engine | time | rounds' spread | rounds | speed | ratio | fastest | ratio of fastest | load average before | "
              "cores busy with others |",
              "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for work in TITLES:
        lines += rows(report, work)
    if "products" in report:
        lines += ["", "| op | time | TFLOP/s | of the stated peak | of what bounds it |", "| --- | ---: | ---: | ---: | ---: |"]
        lines += product_rows(report)
    lines += ["", "Commands, in the repository:", "", "```"]
    lines += [f"# {name}\n{command}" for name, command in report["commands"].items()]
    return "\n".join([*lines, "```", ""])


if __name__ == "__main__":
    print(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))), end="")
