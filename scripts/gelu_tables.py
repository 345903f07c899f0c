#!/usr/bin/env python3
"""Fits the tables of crates/cpu/src/simd/gelu.rs and prints them, with their errors. Needs numpy."""

from math import erf, pi, sqrt

import numpy as np
from numpy.polynomial import chebyshev, polynomial

PIECES = 16
ROUNDS = 200


def cdf(x):
    return 0.5 * (1 + np.vectorize(erf)(x / sqrt(2)))


def density(x):
    return np.exp(-x * x / 2) / sqrt(2 * pi)


def fit(target, weight, degree, width):
    """Coefficients [degree + 1, PIECES], the highest power first: piece k is nearest to k * width, the last one is 1/2.

    Minimax in the weighted error by Lawson's iteration on least squares."""
    table = np.zeros((degree + 1, PIECES))
    table[0, -1] = 0.5
    for piece in range(PIECES - 1):
        start, end = max(0.0, (piece - 0.5) * width), (piece + 0.5) * width
        x = np.linspace(start, end, 801)
        scaled = (x - start) / (end - start) * 2 - 1
        basis, wanted, lawson, least = chebyshev.chebvander(scaled, degree), target(x), np.ones_like(x), np.inf
        for _ in range(ROUNDS):
            row_weight = np.sqrt(lawson) * np.maximum(weight(x), 1e-3)
            series, *_ = np.linalg.lstsq(basis * row_weight[:, None], wanted * row_weight, rcond=None)
            error = np.abs(basis @ series - wanted) * weight(x)
            if error.max() < least:
                least, best = error.max(), series
            lawson = lawson * (error + 1e-20)
            lawson /= lawson.sum()
        line = [-2 * start / (end - start) - 1, 2 / (end - start)]
        powers = np.zeros(1)
        for coefficient in chebyshev.cheb2poly(best)[::-1]:
            powers = polynomial.polyadd(polynomial.polymul(powers, line), [coefficient])
        table[: len(powers), piece] = powers
    return table[::-1].astype(np.float32)


def evaluate(table, width, x):
    """|x| by the table, each step rounded to f32."""
    size = np.minimum(np.abs(x), np.float32(15.2 * width))
    piece = np.rint(size.astype(float) / width).astype(int)
    value = table[0][piece]
    for row in table[1:]:
        value = (value.astype(float) * size + row[piece]).astype(np.float32)
    return value.astype(float)


def show(name, table, width, error):
    print(f"{name}: width {width}, error {error:.2e}")
    for row in table:
        print("    [" + ", ".join(f"{value:.9e}" for value in row) + "],")


x = np.linspace(-12, 12, 2_000_001).astype(np.float32)
exact = x.astype(float)
table = fit(lambda x: cdf(x) - 0.5, lambda x: x, 3, 0.34)
got = np.abs(exact) * evaluate(table, 0.34, x) + 0.5 * exact
show("GELU", table, 0.34, np.abs(got - exact * cdf(exact)).max())
table = fit(lambda x: cdf(x) + x * density(x) - 0.5, np.ones_like, 4, 0.38)
got = 0.5 + np.copysign(evaluate(table, 0.38, x), exact)
show("GELU'", table, 0.38, np.abs(got - cdf(exact) - exact * density(exact)).max())
