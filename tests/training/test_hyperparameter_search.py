"""Every strategy of the search spends the same budget, and records what it tried."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from m6rec_lite.training import (
    STRATEGIES,
    Choice,
    Uniform,
    expected_improvement,
    gp_posterior,
    rbf_kernel,
    search,
)

SPACE = {"x": Uniform(-2.0, 2.0), "lr": Uniform(1e-4, 1.0, log=True), "kind": Choice(["a", "b"])}
BY_HAND = [name for name in STRATEGIES if name != "optuna"]


def bowl(params, epochs):
    """Highest at x = 1, lr = .01, kind b; grows with the epochs for all."""
    distance = (params["x"] - 1) ** 2 + (math.log10(params["lr"]) + 2) ** 2
    return epochs / 9 - distance - (params["kind"] == "a")


@pytest.mark.parametrize("strategy", BY_HAND)
def test_trials_lie_in_the_space_and_the_budget_is_kept(strategy):
    result = search(bowl, SPACE, strategy, budget=81, epochs=9, seed=3)
    assert result.spent == sum(trial.epochs for trial in result.trials) <= 81
    assert result.spent > 81 - 9 or strategy == "grid"
    for trial in result.trials:
        assert set(trial.params) == set(SPACE)
        assert -2 <= trial.params["x"] <= 2
        assert 1e-4 <= trial.params["lr"] <= 1
        assert trial.params["kind"] in ("a", "b")
        assert trial.score == bowl(trial.params, trial.epochs)
    assert list(result.frame()["spent"]) == [trial.spent for trial in result.trials]


@pytest.mark.parametrize("strategy", BY_HAND)
def test_a_seed_repeats_a_search(strategy):
    first, again, other = (
        search(bowl, SPACE, strategy, budget=27, epochs=9, seed=seed) for seed in (5, 5, 6)
    )
    assert [t.params for t in first.trials] == [t.params for t in again.trials]
    if strategy != "grid":
        assert [t.params for t in first.trials] != [t.params for t in other.trials]


def test_best_is_among_the_trials_of_most_epochs():
    def falls(params, epochs):
        return -epochs

    result = search(falls, SPACE, "halving", budget=81, epochs=9)
    assert result.best.epochs == 9


def test_halving_keeps_the_best_third_of_each_rung():
    result = search(bowl, SPACE, "halving", budget=81, epochs=9, seed=0)
    assert [trial.epochs for trial in result.trials] == [1] * 27 + [3] * 9 + [9] * 3
    by_score = sorted(result.trials[:27], key=lambda trial: -trial.score)
    assert [t.params for t in result.trials[27:36]] == [t.params for t in by_score[:9]]


def test_the_grid_visits_every_point_once():
    space = {"a": Uniform(0.0, 3.0), "b": Uniform(0.0, 3.0)}
    result = search(lambda p, e: 0.0, space, "grid", budget=11, epochs=1)
    points = {(t.params["a"], t.params["b"]) for t in result.trials}
    assert points == {(a, b) for a in (0.5, 1.5, 2.5) for b in (0.5, 1.5, 2.5)}
    assert len(result.trials) == 9


@pytest.mark.parametrize("strategy", ["bayes", "evolution"])
def test_guided_strategies_beat_random_search_on_a_bowl(strategy):
    space = {"x": Uniform(-2.0, 2.0), "y": Uniform(-2.0, 2.0)}

    def value(params, epochs):
        return -((params["x"] - 0.7) ** 2) - (params["y"] + 0.4) ** 2

    regrets = {
        name: np.mean([-search(value, space, name, budget=30, epochs=1, seed=s).best.score
                       for s in range(8)])
        for name in (strategy, "random")
    }  # fmt: skip
    assert regrets[strategy] < regrets["random"]


@pytest.mark.parametrize("strategy", BY_HAND)
def test_a_diverging_trial_is_recorded_and_never_best(strategy):
    def breaks(params, epochs):
        if params["kind"] == "a":
            raise FloatingPointError("the loss is not finite")
        return bowl(params, epochs)

    result = search(breaks, SPACE, strategy, budget=27, epochs=3, seed=1)
    assert result.best.params["kind"] == "b"
    failed = [trial for trial in result.trials if trial.params["kind"] == "a"]
    assert failed
    assert all(math.isnan(trial.score) for trial in failed)


def test_only_failures_have_no_best():
    result = search(lambda p, e: math.nan, SPACE, budget=3, epochs=1)
    with pytest.raises(ValueError, match="no trial has a score"):
        _ = result.best


def test_other_errors_pass_through():
    def wrong(params, epochs):
        raise KeyError("no such setting")

    with pytest.raises(KeyError):
        search(wrong, SPACE, budget=3, epochs=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "annealing"}, "strategy must be one of grid"),
        ({"budget": 2, "epochs": 3}, "budget must allow one full trial"),
        ({"space": {}}, "no parameter"),
    ],
)
def test_bad_arguments_raise(arguments, message):
    given_ = {"space": SPACE, "budget": 9, "epochs": 3} | arguments
    with pytest.raises(ValueError, match=message):
        search(bowl, **given_)


@pytest.mark.parametrize(("low", "high", "log"), [(1, 1, False), (2, 1, False), (0, 1, True)])
def test_bad_bounds_raise(low, high, log):
    with pytest.raises(ValueError, match="bounds must be in order"):
        Uniform(low, high, log)
    with pytest.raises(ValueError, match="at least one value"):
        Choice([])


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_parameter_is_monotone_and_keeps_its_bounds(u, v):
    for part in (Uniform(-3, 5), Uniform(1e-5, 10, log=True)):
        a, b = sorted((part.at(u), part.at(v)))
        assert part.low * (1 - 1e-9) <= a or part.low < 0
        assert b <= part.high * (1 + 1e-9)
        assert (part.at(u) <= part.at(v)) == (u <= v) or math.isclose(part.at(u), part.at(v))
    assert Choice("xyz").at(u) in "xyz"


def test_the_gaussian_process_equals_scikit_learn():
    rng = np.random.default_rng(0)
    x, y, at = rng.random((6, 2)), rng.standard_normal(6), rng.random((9, 2))
    theirs = GaussianProcessRegressor(RBF(0.3), alpha=0.05, optimizer=None).fit(x, y)
    mean, std = gp_posterior(x, y, at, length_scale=0.3, noise=0.05)
    their_mean, their_std = theirs.predict(at, return_std=True)
    np.testing.assert_allclose(mean, their_mean, atol=1e-9)
    np.testing.assert_allclose(std, their_std, atol=1e-9)
    np.testing.assert_allclose(rbf_kernel(x, at, 0.3), RBF(0.3)(x, at))


def test_expected_improvement_equals_its_integral():
    draws = np.random.default_rng(0).standard_normal(400_000)
    for mean, std in ((0.0, 1.0), (-1.0, 0.5), (0.4, 2.0)):
        wanted = np.maximum(mean + std * draws - 0.2, 0).mean()
        one = expected_improvement(np.array([mean]), np.array([std]), 0.2)[0]
        assert abs(one - wanted) < 0.01
    sure = expected_improvement(np.array([1.0, -1.0]), np.zeros(2), 0.2)
    np.testing.assert_allclose(sure, [0.8, 0.0])


@pytest.mark.extra
def test_optuna_proposes_within_the_space():
    pytest.importorskip("optuna")
    result = search(bowl, SPACE, "optuna", budget=27, epochs=3, seed=1)
    assert result.spent == 27
    assert all(-2 <= t.params["x"] <= 2 and t.params["kind"] in "ab" for t in result.trials)
    again = search(bowl, SPACE, "optuna", budget=27, epochs=3, seed=1)
    assert [t.params for t in result.trials] == [t.params for t in again.trials]


def test_a_missing_optuna_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(ImportError, match=r"m6rec-lite\[tuning\]"):
        search(bowl, SPACE, "optuna", budget=3, epochs=1)
