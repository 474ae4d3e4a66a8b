"""Membership inference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import Histories
from m6rec_lite.evaluation import FixedScores, auc
from m6rec_lite.trust import advantage_bound, membership_attack, next_item_losses

LOSSES = st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12)


@settings(deadline=None)
@given(LOSSES, LOSSES)
def test_it_equals_a_search_over_all_thresholds(members: list[float], others: list[float]) -> None:
    attack = membership_attack(np.array(members), np.array(others))
    rates = [
        (np.mean(np.array(members) <= t), np.mean(np.array(others) <= t))
        for t in {-1.0, *members, *others}
    ]
    assert attack.advantage == pytest.approx(max(found - false for found, false in rates))
    labels = [1] * len(members) + [0] * len(others)
    assert attack.auc == pytest.approx(auc(np.array(labels), -np.array(members + others)))


def test_separate_groups_are_told_apart_and_equal_ones_are_not() -> None:
    apart = membership_attack(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert (apart.auc, apart.advantage) == (1.0, 1.0)
    same = membership_attack(np.ones(3), np.ones(2))
    assert (same.auc, same.advantage) == (0.5, 0.0)


def test_the_bound_is_that_of_randomized_response() -> None:
    """Truth with probability p = e/(1+e) at epsilon 1 has the advantage p - (1 - p)."""
    p = math.e / (1 + math.e)
    assert advantage_bound(1.0) == pytest.approx(2 * p - 1)
    assert advantage_bound(1e-9, 0.1) == pytest.approx(0.1)


@pytest.mark.parametrize("losses", [[], [1.0, np.nan], [np.inf]])
def test_losses_that_are_missing_or_not_finite_are_refused(losses: list[float]) -> None:
    with pytest.raises(ValueError, match="finite losses"):
        membership_attack(np.array(losses), np.array([1.0]))


def test_a_bound_needs_an_epsilon_above_0() -> None:
    with pytest.raises(ValueError, match="epsilon must be > 0"):
        advantage_bound(0.0)


def test_losses_are_those_of_a_softmax_over_new_items() -> None:
    logits = np.log([[1.0, 2.0, 3.0, 4.0]])
    model = FixedScores(np.arange(4), np.array([0]), logits)
    histories = Histories.from_lists([[3, 1, 0]], np.arange(4), user_ids=[0])
    after_3, after_1 = math.log(6 / 2), math.log(4 / 1)
    both = next_item_losses(model, histories)
    assert both == pytest.approx([(after_3 + after_1) / 2])
    assert next_item_losses(model, histories, last=1) == pytest.approx([after_1])


def test_a_history_of_one_event_has_no_loss() -> None:
    model = FixedScores(np.arange(4), np.array([0, 1]), np.zeros((2, 4)))
    histories = Histories.from_lists([[2], []], np.arange(4), user_ids=[0, 1])
    assert np.isnan(next_item_losses(model, histories)).all()
