"""Team-draft interleaving: who may add what, and fairness."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError
from m6rec_lite.feedback import team_draft

A, B = np.array([[1, 2, 3, 4]]), np.array([[4, 1, 5, 6]])


@given(st.integers(0, 10**6), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_each_turn_both_teams_add_their_best_free_item(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (rng.permuted(np.tile(np.arange(8), (3, 1)), axis=1)[:, :6] for _ in "ab")
    drafted = team_draft(first, second, k, rng)
    for row in range(3):
        used: list[int] = []
        for item, is_first in zip(drafted.items[row], drafted.first_team[row], strict=True):
            ranking = (first if is_first else second)[row]
            assert item == next(each for each in ranking if each not in used)
            used.append(item)
        pairs = drafted.first_team[row, : k // 2 * 2].reshape(-1, 2)
        assert (pairs.sum(axis=1) == 1).all()  # one of each team a turn


def test_all_drafts_of_two_turns() -> None:
    seen = {
        (*drafted.items[0].tolist(), *drafted.first_team[0].tolist())
        for drafted in (team_draft(A, B, 2, np.random.default_rng(seed)) for seed in range(20))
    }
    assert seen == {(1, 4, True, False), (4, 1, False, True)}


def test_equal_rankings_win_equally_often() -> None:
    same = np.tile(np.arange(10), (4000, 1))
    rng = np.random.default_rng(0)
    drafted = team_draft(same, same, 10, rng)
    assert (drafted.items == same).all()
    credit = drafted.credit(rng.random((4000, 10)) < 1 / (1 + np.arange(10)))
    assert abs(credit.mean()) < 3 * credit.std() / np.sqrt(4000)


def test_credit_counts_clicks_of_the_first_ranking_less_the_second() -> None:
    drafted = team_draft(A, B, 4, np.random.default_rng(3))
    clicked = drafted.items == 2  # only the first ranking has item 2 near the top
    assert drafted.credit(clicked).tolist() == [1.0]
    assert drafted.credit(np.ones((1, 4))).tolist() == [0.0]


def test_bad_input_is_refused() -> None:
    rng = np.random.default_rng(0)
    for first, second, k in ((A, B[:, :3], 2), (A, B, 5), (A, B, 0), (A[0], B[0], 1)):
        with pytest.raises(DataError, match="two rankings of one shape"):
            team_draft(first, second, k, rng)
    with pytest.raises(DataError, match="repeats an item"):
        team_draft(np.array([[1, 1, 2, 3]]), B, 2, rng)
    drafted = team_draft(A, B, 2, rng)
    for clicked in (np.array([[np.nan, 0.0]]), np.zeros((1, 3))):
        with pytest.raises(DataError, match="finite clicks"):
            drafted.credit(clicked)
