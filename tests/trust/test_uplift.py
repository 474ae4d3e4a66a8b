"""Effects of showing an item: simulated confounding, the log, and randomised slates."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pytest

from m6rec_lite import trust
from m6rec_lite.data import DataError, Dataset, bazaar
from tests.worlds import small


@cache
def world() -> Dataset:
    return bazaar.generate(users=150, items=80, seed=2, slates=4, progress=False)


def test_an_effect_by_hand() -> None:
    outcome = np.array([[1, 0], [1, 1], [0, 0]])
    shown = np.array([[True, False], [True, False], [False, True]])
    users = np.arange(3)
    assert trust.average_effect(outcome, shown, users)[0] == pytest.approx(2 / 3 - 1 / 3)
    weights = np.array([[1.0, 2.0], [1, 1], [1, 2]])
    effect = trust.average_effect(outcome, shown, users, weights)
    assert effect[0] == pytest.approx(2 / 4 - 1 / 4)


def test_weights_remove_what_the_page_knows() -> None:
    rng = np.random.default_rng(0)
    wish = rng.random((4000, 5)) < 0.3
    propensity = np.where(wish, 0.6, 0.1)
    shown = rng.random(wish.shape) < propensity
    outcome = rng.random(wish.shape) < np.where(wish, 0.5, 0.05)  # showing has no effect
    users = np.arange(4000)
    naive = trust.average_effect(outcome, shown, users)
    weights = 1 / np.where(shown, propensity, 1 - propensity)
    weighted = trust.average_effect(outcome, shown, users, weights)
    assert naive[1] > 0.1
    assert abs(weighted[0]) < 0.03
    raised = outcome + 0.2 * shown
    assert trust.average_effect(raised, shown, users, weights)[0] == pytest.approx(
        weighted[0] + 0.2
    )


def test_rows_of_one_user_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    shown = np.tile(rng.random((50, 4)) < 0.5, (8, 1))
    outcome = np.tile(rng.random((50, 4)) < 0.5, (8, 1))
    apart = trust.average_effect(outcome, shown, np.arange(400))
    together = trust.average_effect(outcome, shown, np.tile(np.arange(50), 8))
    assert together[2] - together[1] > 2 * (apart[2] - apart[1])


@pytest.mark.parametrize(
    "make",
    [trust.logged_slates, trust.random_slates, partial(trust.random_slates, uniform=False)],
    ids=["logged", "random", "as the log"],
)
def test_slates_of_the_world(make: Callable[..., trust.Exposures]) -> None:
    cells = make(world(), 400, seed=1)
    n = len(cells.at)
    assert cells.shown.shape == (n, 80)
    assert (cells.shown.sum(axis=1) == 10).all()
    assert not (cells.clicked & ~cells.shown).any()
    assert (cells.taken.sum(axis=1) == 1).all()
    assert ((cells.effect >= 0) & (cells.effect <= 1)).all()
    # the weights of either side add up to the number of cells that could be of that side
    possible = (cells.weights > 0) | cells.shown
    for side in (cells.shown, ~cells.shown):
        total = (cells.weights * side).sum() / (cells.weights > 0).sum()
        assert total == pytest.approx(1, abs=0.15), possible.mean()


def test_further_logs_have_no_effect_on_the_next_event() -> None:
    """Of many logs the weighted mean is the truth, 0; without weights it is not."""
    naive, weighted = [], []
    for seed in range(12):
        cells = trust.random_slates(world(), 1000, uniform=False, seed=seed)
        inputs = cells.taken, cells.shown, cells.user_ids
        naive.append(trust.average_effect(*inputs)[0])
        weighted.append(trust.average_effect(*inputs, cells.weights)[0])
    error = np.std(weighted) / np.sqrt(len(weighted))
    assert abs(np.mean(weighted)) < 3 * error
    assert np.mean(naive) > 3 * error


def test_the_click_rate_of_random_slates_is_the_true_effect() -> None:
    cells = trust.random_slates(world(), 5000, seed=3)
    effect = trust.average_effect(cells.clicked, cells.shown, cells.user_ids, cells.weights)
    assert effect[1] - 0.003 < cells.effect[cells.weights > 0].mean() < effect[2] + 0.003


def test_bad_input() -> None:
    shown, users = np.array([[True, False]]), np.array([1])
    with pytest.raises(ValueError, match="propensity of 0"):
        trust.average_effect(shown, shown, users, np.array([[np.inf, 1.0]]))
    with pytest.raises(ValueError, match="propensity of 0"):
        trust.average_effect(shown, shown, users, np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match="cells that were shown"):
        trust.average_effect(shown, ~shown & shown, users)
    with pytest.raises(ValueError, match="shapes differ"):
        trust.average_effect(shown, shown[:, :1], users)
    with pytest.raises(DataError, match="no impressions"):
        trust.logged_slates(small(), 5)
