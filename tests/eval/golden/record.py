"""Writes intervals.json and summary.json, the numbers that tests/eval compares with: pip install numpy==2.4.6 scipy==1.17.1.

intervals.json: where the ends of a 95 % percentile interval of 2,000 resamples must lie. The k-th smallest of B resampled means
has a share of the bootstrap distribution below it that is Beta(k, B + 1 - k); `low` and `high` are the quantiles of that
distribution, from 1,000,000 resamples of numpy's own generator, between which it is all but 2 in 10,000 times. `scipy` is the
interval of scipy.stats.bootstrap, method "percentile", to look at.

summary.json: measurements of some prompts, and the means that an evaluation reports of them, by numpy in double."""
import json
import pathlib

import numpy as np
from scipy import stats

FOLDER = pathlib.Path(__file__).parent
RESAMPLES, TAIL, DRAWN, MISSED = 2000, 50, 1_000_000, 1e-4


def resample(values, base, rng):
    out = []
    for _ in range(DRAWN // 50_000):
        at = rng.integers(0, len(values), size=(50_000, len(values)))
        top = values[at].mean(axis=1)
        out.append(top if base is None else top / base[at].mean(axis=1))
    return np.sort(np.concatenate(out))


def band(drawn, rank):
    share = stats.beta(rank, RESAMPLES + 1 - rank).ppf([MISSED, 1 - MISSED])
    return [float(drawn[int(s * len(drawn))]) for s in share]


def interval(name, values, base=None):
    rng = np.random.default_rng(7)
    values = np.asarray(values, dtype=float)
    base = None if base is None else np.asarray(base, dtype=float)
    drawn = resample(values, base, rng)
    data = (values,) if base is None else (values, base)
    statistic = (lambda x, axis: x.mean(axis)) if base is None else (lambda x, y, axis: x.mean(axis) / y.mean(axis))
    found = stats.bootstrap(data, statistic, n_resamples=100_000, method="percentile", paired=base is not None, rng=rng)
    return {
        "name": name,
        "values": values.tolist(),
        "base": None if base is None else base.tolist(),
        "low": band(drawn, TAIL + 1),
        "high": band(drawn, RESAMPLES - TAIL),
        "scipy": [float(found.confidence_interval.low), float(found.confidence_interval.high)],
    }


def intervals():
    rng = np.random.default_rng(20)
    normal = np.round(rng.normal(0.5, 0.2, 20), 3)
    skewed = np.round(rng.exponential(1.0, 30), 3)
    hits = (np.arange(24) % 4 == 0).astype(float)
    full = np.round(np.clip(normal + rng.normal(0.2, 0.1, 20), 0.05, 1), 3)
    return [
        interval("normal, 20", normal),
        interval("skewed, 30", skewed),
        interval("hits, 6 of 24", hits),
        interval("negative, 20", normal - 1),
        interval("ratio of pairs, 20", normal, full),
        interval("ratio of hits, 24", hits, np.where(np.arange(24) % 5 == 1, 0.0, 1.0)),
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
