"""Writes cr_fm_nes.json, the numbers that tests/evolve/cr_fm_nes.cpp compares with: pip install crfmnes==1.0.0 numpy.

Trajectories are the published implementation's on given draws (a linear congruential generator, uniform with variance 1);
medians are evaluations until the best value is <= 1e-8, in whole generations, of 11 seeds with its own draws."""
import json
import sys

import numpy as np
from crfmnes.alg import CRFMNES

SEEDS, CAP = 11, 60000


class Draws:
    def __init__(self):
        self.state = 1

    def __call__(self, rows, columns):
        out = np.empty((rows, columns))
        for column in range(columns):  # a draw after the other
            for row in range(rows):
                self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
                out[row, column] = np.sqrt(12.0) * ((self.state >> 11) * 2.0**-53 - 0.5)
        return out


def tilted(x):
    x = np.asarray(x).ravel()
    return float(np.sum(10.0 ** (3 * np.arange(x.size) / (x.size - 1)) * x * x) + 10 * np.sum(x) ** 2)


def trajectory(n, population, start, sigma, stored):
    v = np.array([[0.1 * (i + 1)] for i in range(n)])
    run = CRFMNES(n, tilted, np.full((n, 1), start), sigma, population, v=v, use_constraint_violation=False)
    np.random.randn = Draws()  # after the constructor, which draws, too
    generations, phases = [], {"moving": 0, "stagnating": 0, "converging": 0}
    for g in range(1, stored[-1] + 1):
        run.one_iteration()
        length = np.linalg.norm(run.ps) / run.chiN
        phases["moving" if length >= 1 else "stagnating" if length >= 0.1 else "converging"] += 1
        if g in stored:
            flat = {"mean": run.m, "v": run.v, "d": run.D, "p_sigma": run.ps, "p_c": run.pc}
            generations.append({"generation": g, "step_size": float(run.sigma)} | {k: list(map(float, a.ravel())) for k, a in flat.items()})
    return {"n": n, "population": population, "start": start, "sigma": sigma, "phases": phases, "generations": generations}


def sphere(x):
    return float(np.sum(np.square(x)))


def ellipsoid(x):
    x = np.asarray(x).ravel()
    return float(np.sum(10.0 ** (6 * np.arange(x.size) / (x.size - 1)) * x * x))


def rosenbrock(x):
    x = np.asarray(x).ravel()
    return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))


def evaluations(function, n, start, sigma, population, seed):
    np.random.seed(seed)
    run = CRFMNES(n, function, np.full((n, 1), start), sigma, population, use_constraint_violation=False)
    while run.no_of_evals < CAP and not run.f_best <= 1e-8:
        run.one_iteration()
    return run.no_of_evals if run.f_best <= 1e-8 else None


def median(key, function, start, sigma):
    rotation = np.array(json.load(open("tests/golden/es_quality.json"))["rotation_n20"])
    called = (lambda x: function(rotation @ x)) if key.startswith("rotated") else function
    counts = [evaluations(called, 20, start, sigma, 12, seed) for seed in range(1, SEEDS + 1)]
    ordered = sorted(c if c is not None else 10**9 for c in counts)
    return {"n": 20, "population": 12, "start": start, "sigma": sigma, "median": ordered[SEEDS // 2] if ordered[SEEDS // 2] <= CAP else None,
            "reached": sum(c is not None for c in counts), "evaluations": [c for c in ordered if c <= CAP]}


randn = np.random.randn
result = {"source": "crfmnes 1.0.0",
          "trajectories": [trajectory(8, 8, 1.0, 0.5, (1, 2, 20, 60)), trajectory(8, 8, 20.0, 0.01, (1, 5, 120)),
                           trajectory(40, 60, 1e-4, 1.0, (1, 6))]}
np.random.randn = randn
result["medians"] = {key: median(key, f, start, sigma) for key, f, start, sigma in
                     (("sphere", sphere, 3.0, 1.0), ("ellipsoid", ellipsoid, 3.0, 1.0), ("rotated_ellipsoid", ellipsoid, 3.0, 1.0),
                      ("rosenbrock", rosenbrock, 0.0, 0.5))}
json.dump(result, sys.stdout)
print()
