"""Rounds of a recommender on its own clicks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from m6rec_lite.data import DataError, Interactions
from m6rec_lite.feedback import gini, run_rounds
from m6rec_lite.recommenders import EASE, Popularity
from tests.worlds import small

WORLD = small()
AT = int(WORLD.interactions["timestamp"].median())
EXAMINATION = WORLD.oracle.examination(np.arange(5))


def log() -> Interactions:
    table = WORLD.interactions
    table = table[(table["user_id"] <= 120) & (table["timestamp"] < AT)]
    return Interactions.from_frame(table, item_ids=np.sort(WORLD.items["item_id"].to_numpy()))


ROWS = log()
CHANCES = WORLD.oracle.click_probability(
    ROWS.user_ids, np.broadcast_to(ROWS.item_ids, (ROWS.n_users, ROWS.n_items)), AT
)


def test_without_exploration_the_slates_are_the_models() -> None:
    table = run_rounds(EASE(l2=20), ROWS, CHANCES, EXAMINATION, rounds=3)
    assert table["round"].tolist() == [0, 1, 2]
    np.testing.assert_allclose(table["clicks"], table["clicks of the model"])
    assert table[["coverage", "tail", "gini"]].stack().between(0, 1).all()
    again = run_rounds(EASE(l2=20), ROWS, CHANCES, EXAMINATION, rounds=3)
    assert table.equals(again)


def test_random_slates_earn_less_and_their_first_round_is_known() -> None:
    table = run_rounds(EASE(l2=20), ROWS, CHANCES, EXAMINATION, rounds=2, explore=1.0)
    assert (table["clicks"] < table["clicks of the model"]).all()
    frozen = run_rounds(Popularity(), ROWS, CHANCES, EXAMINATION, rounds=2, learns=False)
    scores = Popularity().fit(ROWS, progress=False).score(ROWS.histories())
    scores[ROWS.users, ROWS.items] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    expected = (np.take_along_axis(CHANCES, best, axis=1) * EXAMINATION).sum(axis=1).mean()
    assert frozen["clicks"][0] == pytest.approx(expected)


def test_clicked_items_leave_the_lists_even_if_nothing_is_learned() -> None:
    certain = np.ones_like(CHANCES)
    table = run_rounds(Popularity(), ROWS, certain, np.ones(5), rounds=8, learns=False)
    assert table["clicks"].tolist() == [5.0] * 8
    assert table["tail"][7] > table["tail"][0]  # the most popular items were all clicked


@settings(deadline=None)
@given(st.lists(st.integers(0, 20), min_size=2, max_size=12).filter(any))
def test_gini_is_the_mean_absolute_difference(counts: list[int]) -> None:
    values = np.array(counts, dtype=float)
    expected = np.abs(values[:, None] - values).mean() / (2 * values.mean())
    assert gini(values) == pytest.approx(expected, abs=1e-12)


def test_bad_input_is_refused() -> None:
    for chances in (CHANCES[:, 1:], CHANCES + 1.0, np.where(CHANCES > 0.5, np.nan, np.nan)):
        with pytest.raises(DataError, match="chances must be probabilities"):
            run_rounds(EASE(), ROWS, chances, EXAMINATION)
    with pytest.raises(ValueError, match="explore"):
        run_rounds(EASE(), ROWS, CHANCES, EXAMINATION, explore=1.5)
    with pytest.raises(DataError, match="nothing was shown"):
        gini(np.zeros(3))
