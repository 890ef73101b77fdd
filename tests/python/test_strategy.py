"""Evolution strategies as ask and tell: recorded runs of a trusted implementation, and the contract."""

import json
from pathlib import Path

import namm
import numpy as np
import pytest

GOLDEN = Path(__file__).parents[1] / "golden" / "cma_trajectory.json"
NAMES = namm.strategy_names()


def ellipsoid(candidates):
    """Smallest at 0.7; one value per row."""
    scales = np.logspace(0, 2, candidates.shape[-1])
    return ((candidates - 0.7) ** 2 * scales).sum(axis=-1)


def run(strategy, objective, generations):
    for _ in range(generations):
        candidates = strategy.ask()
        strategy.tell(candidates, objective(candidates))
    return strategy


@pytest.mark.parametrize("case", json.loads(GOLDEN.read_text())["cases"], ids=lambda case: case["name"])
def test_cma_follows_the_reference(case):
    """The recorded candidates of whole runs are told; distributions as recorded come of it."""
    strategy = namm.Strategy("cma", case["mean0"], step_size=case["sigma0"], population=case["lambda"])
    for number, recorded in enumerate(case["variants"]["reference_float64"]["gens"], 1):
        strategy.tell(recorded["x"], recorded["f"])
        np.testing.assert_allclose(strategy.mean, recorded["mean"], rtol=0, atol=1e-10 * np.abs(recorded["mean"]).max())
        assert strategy.step_size == pytest.approx(recorded["sigma"], rel=1e-10)
        assert strategy.generation == number


@pytest.mark.parametrize("name", NAMES)
def test_a_quadratic_is_minimised_and_maximised(name):
    generations = 2000 if name == "es" else 400  # whose step size stays
    lowest = run(namm.Strategy(name, 6, step_size=0.1, population=12, seed=1), ellipsoid, generations)
    highest = run(namm.Strategy(name, np.zeros(6), step_size=0.1, population=12, seed=1, maximise=True), lambda x: -ellipsoid(x), generations)
    np.testing.assert_array_equal(highest.mean, lowest.mean)
    assert ellipsoid(lowest.mean) < (0.05 if name == "es" else 1e-8) < ellipsoid(np.zeros(6))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bytes(name):
    first, second, other = (run(namm.Strategy(name, 5, step_size=0.5, seed=seed), ellipsoid, 12) for seed in (3, 3, 4))
    assert first.save() == second.save() != other.save()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("asked", [False, True], ids=["told", "asked"])
def test_it_goes_on_from_a_saved_state(name, asked):
    strategy = run(namm.Strategy(name, 5, step_size=0.5), ellipsoid, 7)
    if asked:
        strategy.ask()
    again = namm.Strategy(name, 5, step_size=0.1, seed=9)
    again.restore(strategy.save())
    assert again.generation == 7
    np.testing.assert_array_equal(again.ask(), strategy.ask())
    values = ellipsoid(strategy.ask())
    for one in (strategy, again):
        one.tell(None, values)
    assert again.save() == strategy.save()


def test_ask_gives_a_copy_and_tell_takes_what_numpy_reads():
    strategy = namm.Strategy("sep-cma-tpa", [1.0, 2.0, 3.0], step_size=0.5)
    assert (strategy.name, strategy.dimension, strategy.population, strategy.generation) == ("sep-cma-tpa", 3, 7, 0)
    assert "sep-cma-tpa" in repr(strategy) and strategy.mean.tolist() == [1, 2, 3] and strategy.step_size == 0.5
    candidates = strategy.ask()
    assert candidates.shape == (7, 3) and candidates.dtype == np.float64
    values = [float(x) for x in ellipsoid(candidates)]
    candidates[:] = np.nan
    assert np.isfinite(strategy.ask()).all()
    strategy.tell(None, values)
    assert strategy.generation == 1


def test_candidates_from_elsewhere():
    """cma is drawn to a candidate of somebody's own; strategies that draw in pairs say that they cannot learn from it."""
    for name in ("cma", "sep-cma"):
        strategy = namm.Strategy(name, 4, step_size=0.1)
        candidates = strategy.ask()
        candidates[0] = 0.7
        strategy.tell(candidates, ellipsoid(candidates))
        assert (strategy.mean > 0.1).all()
    for name in ("sep-cma-tpa", "cr-fm-nes", "es"):
        strategy = namm.Strategy(name, 4, step_size=0.1)
        candidates = strategy.ask()
        strategy.tell(candidates, ellipsoid(candidates))
        before = strategy.save()
        with pytest.raises(ValueError, match="must be those of ask.*give None"):
            strategy.tell(candidates + 1, ellipsoid(candidates))
        assert strategy.save() == before


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (dict(name="cmaes"), "strategy: must be a registered name"),
        (dict(parameters=0), "parameters: must be at least 1"),
        (dict(parameters=[]), "dimension: must be at least 1"),
        (dict(parameters=[[1.0, 2.0]]), "parameters: must be a row"),
        (dict(parameters=[1.0, float("nan")]), "finite"),
        (dict(step_size=0.0), "step size: must be positive"),
        (dict(population=1), "population: must be at least 2"),
    ],
)
def test_wrong_arguments(arguments, reason):
    with pytest.raises(ValueError, match=reason) as raised:
        namm.Strategy(**{"name": "cma", "parameters": 3, "step_size": 0.1, **arguments})
    assert "\n" not in str(raised.value)


def test_wrong_values_and_states_change_nothing():
    strategy = namm.Strategy("cma", 3, step_size=0.1)
    with pytest.raises(ValueError, match=r"call ask\(\)"):
        strategy.tell(None, np.zeros(7))
    candidates, before = strategy.ask(), strategy.save()
    for told, values, reason in [
        (None, np.zeros(3), "one value per candidate"),
        (candidates[:, :2], np.zeros(7), r"must be \[7\]\[3\]"),
        (candidates * np.inf, np.zeros(7), "finite"),
    ]:
        with pytest.raises(ValueError, match=reason):
            strategy.tell(told, values)
    for saved in ["", "{}", "[" * 100, before[: len(before) // 2], namm.Strategy("cma", 4, step_size=0.1).save()]:
        with pytest.raises(RuntimeError):
            strategy.restore(saved)
    assert strategy.save() == before
    strategy.tell(candidates, ellipsoid(candidates))
