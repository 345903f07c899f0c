"""Draws `serin bench inference`'s throughput by length and by batch size as SVG, from the JSON of a comparison.

Usage: python3 benches/throughput_plots.py benches/results/DATE-MACHINE.json docs/plots

Needs nothing but Python. The colours are readable on light and on dark backgrounds.
"""

import json
import math
import sys
from pathlib import Path

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 52
LINE, INK = "#3b8eea", "#808890"


def plot(title: str, axis: str, points: list[tuple[int, float]]) -> str:
    """One line over powers of two. Points: (length or number of texts, tokens a second)."""
    xs = [math.log2(x) for x, _ in points]
    unit = 10 ** math.floor(math.log10(max(y for _, y in points)))
    top = math.ceil(max(y for _, y in points) / unit * 1.1) * unit
    across = lambda x: LEFT + (WIDTH - LEFT - RIGHT) * (math.log2(x) - xs[0]) / (xs[-1] - xs[0])
    up = lambda y: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / top
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="12" fill="{INK}"><title>{title}</title>',
        f'<text x="{LEFT}" y="20" font-size="14">{title}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">{axis}</text>',
    ]
    for share in range(5):
        y = top * share / 4
        parts.append(f'<path d="M{LEFT} {up(y):.1f}H{WIDTH - RIGHT}" stroke="{INK}" stroke-opacity=".3"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{y:,.0f}</text>')
    path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    for x, y in points:
        parts.append(f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="4" fill="{LINE}"/>')
        parts.append(f'<text x="{across(x):.1f}" y="{up(y) - 10:.1f}" text-anchor="middle">{y:,.0f}</text>')
        parts.append(f'<text x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{x}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    shapes = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["sweep"]["inference"]
    out = Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    tokens = max(shape["sequences"] * shape["length"] for shape in shapes if shape["length"] == 512)
    by_length = {s["length"]: s["tokens_per_second"] for s in shapes if s["sequences"] * s["length"] == tokens}
    by_batch = {s["sequences"]: s["tokens_per_second"] for s in shapes if s["length"] == 32}
    (out / "throughput-by-length.svg").write_text(
        plot(f"Inference, tokens/s, {tokens:,} tokens together", "tokens of a text", sorted(by_length.items())), encoding="utf-8")
    (out / "throughput-by-batch.svg").write_text(
        plot("Inference, tokens/s, texts of 32 tokens", "texts together", sorted(by_batch.items())), encoding="utf-8")


if __name__ == "__main__":
    main()
