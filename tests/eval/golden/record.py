"""Writes intervals.json and summary.json, the numbers that tests/eval compares with:
pip install numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0.

intervals.json: t intervals, p-values, Wilson's intervals and the McNemar test by scipy, Holm by statsmodels, clustered intervals
and Fieller's by numpy from their definitions, ratios of paired shares by maximising the restricted likelihood numerically.

summary.json: measurements of some prompts, and the means that an evaluation reports of them, by numpy in double."""
import json
import pathlib

import numpy as np
from scipy import optimize, stats
from statsmodels.stats.multitest import multipletests

FOLDER = pathlib.Path(__file__).parent


def t_case(name, values, base):
    values, base = np.asarray(values, float), np.asarray(base, float)
    change = values - base
    interval = lambda x: [float(v) for v in stats.t.interval(0.95, len(x) - 1, x.mean(), stats.sem(x))]
    return {"kind": "t", "name": name, "values": values.tolist(), "base": base.tolist(), "mean": interval(values),
            "change": interval(change), "p": float(stats.ttest_rel(values, base).pvalue)}


def share_case(right, count):
    found = stats.binomtest(right, count).proportion_ci(0.95, "wilson")
    return {"kind": "share", "right": right, "count": count, "interval": [float(found.low), float(found.high)]}


def ratio_score(counts, ratio):
    """Score statistic of a ratio of paired shares; the restricted likelihood is maximised numerically."""
    both, first, second, neither = np.asarray(counts, float) / sum(counts)

    def cells(x):  # of both (1), first and second, in the given ratio; `first` is not negative for any x
        c = max(0.0, 1 / ratio - 1) + np.exp(x)
        return np.array([1, ratio * (1 + c) - 1, c])

    def loss(x):
        p = cells(x)
        return -np.sum(np.array([both, first, second]) * np.log(p / p.sum()))

    p = cells(optimize.minimize_scalar(loss, bounds=(-20, 20), method="bounded", options={"xatol": 1e-13}).x)
    p = p / p.sum() * (1 - neither)
    top, bottom = both + first, both + second
    return np.sqrt(sum(counts)) * (top - ratio * bottom) / np.sqrt(ratio * (p[1] + p[2]))


def paired_case(both, first, second, neither):
    counts = [both, first, second, neither]
    count, z = sum(counts), stats.norm.ppf(0.975)
    ratio = (both + first) / (both + second)
    ends = [optimize.brentq(lambda r: ratio_score(counts, r) - side * z, *bracket, xtol=1e-10)
            for side, bracket in ((1, (ratio / 20, ratio * 0.9999)), (-1, (ratio * 1.0001, ratio * 20)))]
    p1, p2 = (first + 1) / (count + 2), (second + 1) / (count + 2)
    half = z * np.sqrt((p1 + p2 - (p1 - p2) ** 2) / (count + 2))
    disagree = first + second
    return {"kind": "paired", "counts": counts, "ratio": [float(e) for e in ends],
            "change": [float(p1 - p2 - half), float(p1 - p2 + half)],
            "p": float(stats.binomtest(first, disagree).pvalue) if disagree else 1.0}


def clustered(tables, a, b):
    """Variance and degrees of freedom of the mean over tables of a * values + b * base: with the matrix of the quadratic form."""
    total, squares = 0.0, 0.0
    for population in sorted({t["population"] for t in tables}):
        sums, weights = {}, {}
        for t in (t for t in tables if t["population"] == population):
            x = a * np.array(t["values"]) + b * np.array(t["base"])
            for unit, deviation in zip(t["units"], (x - x.mean()) / len(x) / len(tables)):
                sums[unit] = sums.get(unit, 0.0) + deviation
                weights[unit] = weights.get(unit, 0.0) + 1 / len(x)
        w = np.array(list(weights.values())) / sum(weights.values())
        centred = np.eye(len(w)) - np.outer(np.ones(len(w)), w)
        form = centred.T @ np.diag(w**2) @ centred
        variance = np.sum(np.square(list(sums.values()))) * np.sum(w**2) / np.trace(form)
        total += variance
        squares += variance**2 * np.trace(form @ form) / np.trace(form) ** 2
    return total, total**2 / squares


def sizes(tables):
    """Effective numbers of units: how many of one size have the same sum of squared weights."""
    for population in {t["population"] for t in tables}:
        weights = {}
        for t in (t for t in tables if t["population"] == population):
            for unit in t["units"]:
                weights[unit] = weights.get(unit, 0.0) + 1 / len(t["units"])
        w = np.array(list(weights.values()))
        yield w.sum() ** 2 / np.sum(w**2)


def clustered_case(name, tables):
    means = [np.mean([np.mean(t[key]) for t in tables]) for key in ("values", "base")]
    variance, freedom = clustered(tables, 1, -1)
    change = means[0] - means[1]
    half = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    ratio = means[0] / means[1]
    t = stats.t.ppf(0.975, clustered(tables, 1, -ratio)[1])
    beyond = lambda r: (means[0] - r * means[1]) ** 2 - t * t * clustered(tables, 1, -r)[0]
    ends = [optimize.brentq(beyond, ratio, ratio + side) for side in (-ratio, 5.0)]
    return {"kind": "clustered", "name": name, "tables": tables, "change": [float(change - half), float(change + half)],
            "p": float(2 * stats.t.sf(abs(change) / np.sqrt(variance), freedom)),
            "units": int(round(sum(sizes(tables)))), "ratio": [float(e) for e in ends]}


def table(rng, population, units):
    base = np.round(rng.uniform(0.5, 1, len(units)), 3)
    values = np.round(np.clip(base - rng.uniform(-0.1, 0.4, len(units)), 0, 1), 3)
    return {"population": population, "units": units, "values": values.tolist(), "base": base.tolist()}


def intervals():
    rng = np.random.default_rng(20)
    normal = np.round(rng.normal(0.5, 0.2, 20), 3)
    names = lambda count: [str(i) for i in range(count)]
    p = np.round(rng.uniform(0, 0.06, 9), 4)
    return [
        t_case("two", [0.4, 0.7], [0.8, 0.9]),
        t_case("six", [0.4, 0.7, 0.1, 0.9, 0.35, 0.6], [0.8, 0.9, 0.2, 0.85, 0.5, 0.9]),
        t_case("twenty", normal, np.round(normal + rng.normal(0.2, 0.1, 20), 3)),
        *[share_case(right, count) for right, count in [(0, 5), (5, 5), (1, 20), (10, 20), (20, 20), (173, 200)]],
        *[paired_case(*counts) for counts in [(5, 1, 9, 5), (2, 3, 4, 11), (9, 4, 2, 5), (60, 12, 30, 98)]],
        clustered_case("one task at two lengths", [table(rng, "needle", names(12)), table(rng, "needle", names(12))]),
        clustered_case("two tasks", [table(rng, "needle", names(12)), table(rng, "text", names(7))]),
        clustered_case("questions on books", [table(rng, "books", ["a", "a", "b", "c", "c", "c", "d", "e", "f", "f"])]),
        clustered_case("one long book", [table(rng, "books", ["a"] * 12 + ["b", "c", "d", "e", "f"])]),
        {"kind": "holm", "p": p.tolist(), "adjusted": [float(v) for v in multipletests(p, method="holm")[1]]},
    ]


def measurement(rng, full):
    entries_full = int(rng.integers(4_000, 8_000))
    entries = entries_full if full else int(entries_full * rng.uniform(0.2, 0.3))
    return {
        "score": round(float(rng.uniform(0.5, 1) if full else rng.uniform(0, 0.8)), 3),
        "exact": bool(rng.integers(0, 2)),
        "log_likelihood": round(float(-rng.exponential(0.3 if full else 1)), 4),
        "kl": 0.0 if full else round(float(rng.exponential(0.4)), 4),
        "entries": entries,
        "entries_full": entries_full,
        "kv_bytes": 256 * entries,
        "kv_bytes_peak": 256 * entries + int(rng.integers(0, 9_000)),
        "kv_bytes_full": 256 * entries_full,
        "statistics_bytes": 8 * entries,
        "statistics_bytes_peak": 8 * entries + 64,
        "cells": entries // 4,
        "cells_peak": entries // 4 + 7,
        "cells_allocated": 4096,
        "prefill_tokens": int(rng.integers(400, 600)),
        "decode_tokens": int(rng.integers(3, 12)),
        "prefill_seconds": round(float(rng.uniform(0.5, 2)), 3),
        "decode_seconds": round(float(rng.uniform(0.05, 0.2)), 3),
    }


def summary():
    rng = np.random.default_rng(8)
    full = [measurement(rng, True) for _ in range(8)]
    measured = [measurement(rng, False) for _ in range(8)]
    column = lambda rows, name: np.array([row[name] for row in rows], dtype=float)
    mean = lambda name: float(column(measured, name).mean())
    held = column(measured, "kv_bytes") + column(measured, "statistics_bytes")
    expected = {
        "quality": mean("score"),
        "quality_change": float((column(measured, "score") - column(full, "score")).mean()),
        "quality_relative": float(column(measured, "score").sum() / column(full, "score").sum()),
        "exact": mean("exact"),
        "answer_log_likelihood": mean("log_likelihood"),
        "answer_log_likelihood_delta": float((column(measured, "log_likelihood") - column(full, "log_likelihood")).mean()),
        "fidelity_kl": mean("kl"),
        "logical_saving": float((1 - column(measured, "entries") / column(measured, "entries_full")).mean()),
        "physical_saving": float((1 - held / column(measured, "kv_bytes_full")).mean()),
        "kv_bytes_peak": mean("kv_bytes_peak"),
        "kv_bytes_final": mean("kv_bytes"),
        "kv_bytes_full": mean("kv_bytes_full"),
        "statistics_bytes_peak": mean("statistics_bytes_peak"),
        "entries_final": mean("entries"),
        "entries_full": mean("entries_full"),
        "cells_final": mean("cells"),
        "cells_peak": mean("cells_peak"),
        "cells_allocated": mean("cells_allocated"),
        "prefill_tokens_per_second": float(column(measured, "prefill_tokens").sum() / column(measured, "prefill_seconds").sum()),
        "decode_tokens_per_second": float(column(measured, "decode_tokens").sum() / column(measured, "decode_seconds").sum()),
    }
    return {"full": full, "measured": measured, "expected": expected}


def write(name, content):
    one_a_line = "[\n" + ",\n".join(json.dumps(one) for one in content) + "\n]\n"
    (FOLDER / name).write_text(one_a_line)


write("intervals.json", intervals())
(FOLDER / "summary.json").write_text(json.dumps(summary(), indent=1) + "\n")
