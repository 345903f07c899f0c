"""Metric cases with the numbers that scikit-learn and scipy give for them.

Run from the repository root: python golden/metrics_goldens.py
Needs numpy, scipy, scikit-learn. Writes crates/metrics/tests/data/goldens.json.
"""

import json
import math
import warnings
from pathlib import Path

import numpy as np
import scipy
import sklearn
from scipy import special, stats
from sklearn import metrics

OUT = Path("crates/metrics/tests/data/goldens.json")
warnings.simplefilter("ignore")
rng = np.random.default_rng(20240517)


def number(value):
    """A JSON number, null where scikit-learn says NaN."""
    value = float(value)
    return None if math.isnan(value) else value


def averages(truth, predicted, names, labels=None):
    result = {}
    for average in names:
        scores = metrics.precision_recall_fscore_support(truth, predicted, labels=labels, average=average, zero_division=0)
        result[average] = [number(score) for score in scores[:3]]
    return result


def ece(confidence, correct, bins=15):
    """Guo et al. 2017: bins (lower, upper]."""
    edges = np.linspace(0, 1, bins + 1)
    total = 0.0
    for lower, upper in zip(edges[:-1], edges[1:]):
        inside = (confidence > lower) & (confidence <= upper)
        if inside.any():
            total += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    return total


def defined_mean(values, weights=None):
    pairs = [(value, 1.0 if weights is None else weight) for value, weight in zip(values, weights or values) if value is not None]
    total = sum(weight for _, weight in pairs)
    return sum(value * weight for value, weight in pairs) / total if total else None


def auc(truth, score):
    return number(metrics.roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else None


def precision_area(truth, score):
    return number(metrics.average_precision_score(truth, score)) if truth.any() else None


def single(name, logits, labels, top_k=()):
    """Rows with NaN enter the confusion matrix as one more class that is predicted and never right."""
    logits = np.round(logits, 3).astype(np.float32)
    labels = np.asarray(labels)
    classes = logits.shape[1]
    nan = np.isnan(logits).any(axis=1)
    predicted = np.where(nan, classes, np.argmax(np.nan_to_num(logits), axis=1))
    log_probabilities = special.log_softmax(logits.astype(np.float64), axis=1)
    probabilities = np.exp(log_probabilities).astype(np.float32)
    kept, kept_labels = probabilities[~nan].astype(np.float64), labels[~nan]
    occurring = sorted((set(labels.tolist()) | set(predicted.tolist())) - {classes})
    one_hot = np.eye(classes)[kept_labels]
    per_class = metrics.precision_recall_fscore_support(labels, predicted, labels=list(range(classes)), zero_division=0)
    report = metrics.classification_report(labels, predicted, labels=occurring, output_dict=True, zero_division=0)
    aucs = [auc(one_hot[:, c], kept[:, c]) for c in range(classes)]
    areas = [precision_area(one_hot[:, c], kept[:, c]) for c in range(classes)]
    squares = (kept - one_hot) ** 2
    return {
        "name": name,
        "classes": classes,
        "logits": [[None if math.isnan(x) else float(str(x)) for x in row] for row in logits],
        "labels": labels.tolist(),
        "accuracy": number(metrics.accuracy_score(labels, predicted)),
        "correct": int((labels == predicted).sum()),
        "per_class": [[number(x) for x in column] for column in per_class],
        "averages": averages(labels, predicted, ["macro", "micro", "weighted"], occurring),
        "report": {str(key): value for key, value in report.items() if key in ("macro avg", "weighted avg") or key.isdigit()},
        "confusion": metrics.confusion_matrix(labels, predicted, labels=list(range(classes))).tolist(),
        "matthews": number(metrics.matthews_corrcoef(labels, predicted)),
        "kappa": number(metrics.cohen_kappa_score(labels, predicted)),
        "balanced_accuracy": number(metrics.balanced_accuracy_score(labels, predicted)),
        "auc": aucs[1:] if classes == 2 else aucs,
        "auc_macro": defined_mean(aucs),
        "auc_weighted": defined_mean(aucs, one_hot.sum(axis=0).tolist()),
        "average_precision": areas[1:] if classes == 2 else areas,
        "nll": number(-log_probabilities[~nan][np.arange(len(kept)), kept_labels].mean()),
        "brier": number((squares[:, 1] if classes == 2 else squares.sum(axis=1)).mean()),
        "ece": number(ece(kept.max(axis=1), predicted[~nan] == kept_labels)),
        "top_k": {str(k): number(metrics.top_k_accuracy_score(labels, logits, k=k, labels=list(range(classes)))) for k in top_k},
    }


def single_cases():
    def logits(rows, classes, scale=2.0):
        return rng.normal(size=(rows, classes)) * scale

    def labels(rows, classes):
        return rng.integers(0, classes, rows)

    yield single("three classes", logits(120, 3), labels(120, 3))
    yield single("two classes", logits(120, 2), labels(120, 2))
    truth = labels(90, 6)
    yield single("six classes, mostly right", logits(90, 6) + 3 * np.eye(6)[truth], truth, top_k=(3, 5))
    yield single("ties", np.round(logits(80, 3)) / 2, labels(80, 3))
    yield single("ties of two", np.round(logits(80, 2)), labels(80, 2))
    absent = logits(60, 5)
    absent[:, 3] = -20
    absent[:5, 4] = 20
    yield single("class 3 absent, class 4 predicted only", absent, rng.choice([0, 1, 2], 60))
    truth = labels(30, 4)
    yield single("perfect", 5 * np.eye(4)[truth] + 0.1 * logits(30, 4), truth)
    yield single("constant", np.tile([0.3, 1.2, -0.4], (40, 1)), labels(40, 3))
    yield single("constant of two", np.tile([0.3, 1.2], (40, 1)), labels(40, 2))
    yield single("one class only", logits(25, 3), np.full(25, 2))
    yield single("one class, all right", np.tile([4.0, -4.0], (10, 1)), np.zeros(10, int))
    yield single("far logits", logits(40, 3, scale=60.0), labels(40, 3))
    holes = logits(50, 3)
    holes[::7, 1] = np.nan
    yield single("NaN rows", holes, labels(50, 3))
    truth = rng.choice(28, 200, p=np.arange(1, 29) / np.arange(1, 29).sum())
    yield single("28 classes", logits(200, 28, 1.0) + 2 * np.eye(28)[truth], truth, top_k=(3, 5))


def multi(name, truth, logits, threshold=0.5):
    logits = np.round(logits, 3).astype(np.float32)
    truth = np.asarray(truth, int)
    probabilities = special.expit(logits.astype(np.float64)).astype(np.float32)
    predicted = (probabilities > np.float32(threshold)).astype(int)
    labels = truth.shape[1]
    per_class = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0, average=None)
    wide = logits.astype(np.float64)
    return {
        "name": name,
        "labels": labels,
        "threshold": threshold,
        "truth": truth.tolist(),
        "logits": [[float(str(x)) for x in row] for row in logits],
        "per_class": [[number(x) for x in column] for column in per_class],
        "averages": averages(truth, predicted, ["macro", "micro", "weighted", "samples"]),
        "subset_accuracy": number(metrics.accuracy_score(truth, predicted)),
        "hamming": number(metrics.hamming_loss(truth, predicted)),
        "lrap": number(metrics.label_ranking_average_precision_score(truth, probabilities)),
        "auc": [auc(truth[:, c], probabilities[:, c]) for c in range(labels)],
        "average_precision": [precision_area(truth[:, c], probabilities[:, c]) for c in range(labels)],
        "bce": number((np.logaddexp(0, wide) - wide * truth).mean()),
    }


def multi_cases():
    truth = rng.random((80, 4)) < 0.3
    yield multi("four labels with empty rows", truth, rng.normal(size=(80, 4)) + truth)
    yield multi("ties", rng.random((60, 3)) < 0.5, np.round(rng.normal(size=(60, 3))))
    yield multi("threshold 0.3", truth[:40], rng.normal(size=(40, 4)), threshold=0.3)
    empty = rng.random((30, 3)) < 0.4
    empty[:, 2] = False
    yield multi("a label that no row has", empty, rng.normal(size=(30, 3)) - [0, 0, 9])
    yield multi("no label at all", np.zeros((10, 3)), rng.normal(size=(10, 3)))
    yield multi("perfect", truth[:20], np.where(truth[:20], 3.0, -3.0))


def regression(name, target, predicted):
    target, predicted = (np.round(values, 3).astype(np.float32) for values in (target, predicted))
    wide, guess = target.astype(np.float64), predicted.astype(np.float64)
    return {
        "name": name,
        "target": [float(str(x)) for x in target],
        "predicted": [float(str(x)) for x in predicted],
        "mse": number(metrics.mean_squared_error(wide, guess)),
        "rmse": number(metrics.root_mean_squared_error(wide, guess)),
        "mae": number(metrics.mean_absolute_error(wide, guess)),
        "r2": number(metrics.r2_score(wide, guess)),
        "pearson": number(stats.pearsonr(wide, guess).statistic),
        "spearman": number(stats.spearmanr(wide, guess).statistic),
    }


def regression_cases():
    target = rng.normal(size=100)
    yield regression("noisy", target, target + rng.normal(size=100) * 0.5)
    yield regression("far from zero", target + 5000, target + 5000 + rng.normal(size=100))
    yield regression("ties", rng.integers(0, 5, 90), rng.integers(0, 5, 90) / 2)
    yield regression("perfect", target, target)
    yield regression("constant prediction", target, np.full(100, 0.25))
    yield regression("constant target", np.full(20, 1.5), target[:20])
    yield regression("constant target, all right", np.full(20, 1.5), np.full(20, 1.5))


def mcnemar():
    """Exact: binomial test of the discordant rows; mid-p: Fagerland et al. 2013."""
    for first, second in [(0, 0), (0, 5), (10, 25), (30, 30), (121, 59), (1, 0), (40_000, 40_900)]:
        total, least = first + second, min(first, second)
        exact = stats.binomtest(least, total).pvalue if total else 1.0
        middle = min(1.0, exact - stats.binom.pmf(least, total, 0.5)) if first != second else 1.0
        yield {"only_first": first, "only_second": second, "exact": number(exact), "mid": number(middle)}


def wilson():
    for successes, trials in [(0, 10), (10, 10), (1, 1), (47, 50), (23_610, 25_000), (5, 9)]:
        interval = stats.binomtest(successes, trials).proportion_ci(method="wilson")
        yield {"successes": successes, "trials": trials, "low": number(interval.low), "high": number(interval.high)}


goldens = {
    "versions": {"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "numpy": np.__version__},
    "single": list(single_cases()),
    "multi": list(multi_cases()),
    "regression": list(regression_cases()),
    "mcnemar": list(mcnemar()),
    "wilson": list(wilson()),
}
OUT.parent.mkdir(parents=True, exist_ok=True)
OUT.write_text(json.dumps(goldens, separators=(",", ":"), allow_nan=False) + "\n")
print(OUT, OUT.stat().st_size, "bytes")
