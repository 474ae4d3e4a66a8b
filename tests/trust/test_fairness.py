"""Gaps between groups, exposure, re-ranking, and the penalty in the objective."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from m6rec_lite import trust
from m6rec_lite.data import DataError
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import SASRec, top_k
from tests.worlds import small, small_split


def test_gaps_by_hand() -> None:
    values, groups = np.array([1, 0, 0.5, 0.5, 1]), np.array(list("aabbb"))
    table = trust.group_gaps(values, groups, ceiling=np.ones(5))
    assert table.loc["a", ["users", "mean", "gap"]].tolist() == [2, 0.5, pytest.approx(-1 / 6)]
    assert table.loc["b", "share"] == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="two groups or more"):
        trust.group_gaps(values, np.full(5, "a"))
    with pytest.raises(ValueError, match="one group for each user"):
        trust.group_gaps(values, groups[:3])


def test_the_interval_of_a_gap_is_that_of_two_independent_means() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(["few", "many"], [60, 900])
    values = rng.normal(0, 1, 960) + (groups == "few") * 0.5
    row = trust.group_gaps(values, groups).loc["few"]
    welch = stats.ttest_ind(values[:60], values[60:], equal_var=False).confidence_interval()
    assert row["low"] == pytest.approx(welch.low, abs=0.04)
    assert row["high"] == pytest.approx(welch.high, abs=0.04)


def test_exposure_by_hand() -> None:
    lists, groups = np.array([[0, 2], [2, 1]]), np.array([0, 0, 1])
    second = 1 / np.log2(3)
    total = 2 + 2 * second
    expected = [(1 + second) / total, (1 + second) / total]
    np.testing.assert_allclose(trust.exposure(lists, groups), expected)
    np.testing.assert_allclose(trust.exposure(lists, np.arange(4) % 3).sum(), 1)
    with pytest.raises(ValueError, match="at least 1"):
        trust.exposure(np.zeros((3, 0), dtype=int), groups)


def test_miscalibration_by_hand() -> None:
    even = np.array([0.5, 0.5])
    assert trust.miscalibration(even, even) == pytest.approx(0)
    q = np.array([0.995, 0.005])
    expected = 0.5 * np.log(0.5 / q).sum()
    assert trust.miscalibration(even, np.array([1.0, 0.0])) == pytest.approx(expected)
    assert trust.miscalibration(np.array([0.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(
        np.log(100)
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 50))
def test_without_a_trade_off_the_order_of_the_scores_stays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, categories = rng.random((3, 12)), np.eye(3)[rng.integers(3, size=12)]
    similarity, wanted = rng.random((12, 12)), np.full((3, 3), 1 / 3)
    expected = top_k(scores, 4)
    np.testing.assert_array_equal(trust.mmr(scores, similarity, 4, 0.0), expected)
    lists = trust.calibrated_lists(scores, categories, wanted, 4, 0.0)
    np.testing.assert_array_equal(lists, expected)


def test_mmr_by_hand() -> None:
    scores = np.array([[1.0, 0.9, 0.0, -np.inf]])
    similarity = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    assert trust.mmr(scores, similarity, 2, 0.4).tolist() == [[0, 1]]  # .54 - .4 against 0
    assert trust.mmr(scores, similarity, 2, 0.6).tolist() == [[0, 2]]  # .36 - .6 against 0
    assert trust.mmr(scores, similarity, 3, 1.0).tolist()[0][:2] == [0, 2]


def test_calibration_alone_finds_the_best_list() -> None:
    categories = np.eye(2)[[0, 0, 0, 0, 1, 1]]
    scores, wanted = np.arange(6.0, 0, -1)[None], np.array([[0.5, 0.5]])
    chosen = trust.calibrated_lists(scores, categories, wanted, 4, 1.0)[0]
    best = min(
        trust.miscalibration(wanted[0], categories[list(items)].mean(axis=0))
        for items in itertools.combinations(range(6), 4)
    )
    reached = trust.miscalibration(wanted[0], categories[chosen].mean(axis=0))
    assert reached == pytest.approx(best)


def test_bad_input_of_lists() -> None:
    scores = np.array([[1.0, -np.inf, 0.5]])
    with pytest.raises(ValueError, match="trade_off"):
        trust.mmr(scores, np.eye(3), 2, 1.5)
    with pytest.raises(ValueError, match="as many that may be shown"):
        trust.mmr(scores, np.eye(3), 3, 0.5)


@cache
def fitted(penalty: float | None) -> SASRec:
    recipe = {"epochs": 2, "patience": None, "hidden_size": 16, "lr": 0.01}
    model = SASRec(**recipe) if penalty is None else trust.FairSASRec(
        **recipe, group="domain", penalty=penalty
    )  # fmt: skip
    return model.fit(small_split().train, items=small().items, progress=False)


def test_fixed_lists_are_evaluated_as_the_model_that_made_them() -> None:
    split, model = small_split(), fitted(None)
    histories = split.test.histories
    scores = model.score(histories)
    scores[histories.rows, histories.items] = -np.inf
    lists = trust.fixed_lists(top_k(scores, 10), histories)
    first, second = (evaluate(m, split, k=10, progress=False) for m in (lists, model))
    assert first["ndcg@10"] == pytest.approx(second["ndcg@10"])


def test_a_penalty_moves_the_shares_of_groups() -> None:
    split, items = small_split(), small().items
    domain = items.set_index("item_id").loc[split.item_ids, "domain"].cat.codes.to_numpy()
    wanted = np.bincount(domain) / len(domain)

    def distance(penalty: float | None) -> float:
        scores = fitted(penalty).score(split.test.histories)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        share = np.bincount(domain, (odds / odds.sum(axis=1, keepdims=True)).mean(axis=0))
        return float(np.abs(share - wanted).sum())

    np.testing.assert_allclose(
        fitted(0.0).score(split.test.histories), fitted(None).score(split.test.histories), atol=1e-4
    )
    assert distance(20.0) < distance(0.0)


def test_bad_input_of_the_penalty() -> None:
    with pytest.raises(ValueError, match="penalty"):
        trust.FairSASRec(penalty=-1.0)
    with pytest.raises(ValueError, match="loss='ce'"):
        trust.FairSASRec(loss="bce")
    model = trust.FairSASRec(group="maker", epochs=1)
    with pytest.raises(DataError, match="'maker'"):
        model.fit(small_split().train, items=small().items, progress=False)
