"""Accuracy metrics against brute force over orders of ties, scikit-learn and ranx."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from m6rec_lite.evaluation.ranking import (
    ACCURACY,
    TargetRanks,
    accuracy,
    check_k,
    check_scores,
    hr,
    mrr,
    ndcg,
    precision,
    recall,
)


def ranks_of(scores: np.ndarray, targets: list[list[int]]) -> TargetRanks:
    rows = np.repeat(np.arange(len(targets)), [len(each) for each in targets])
    flat = np.array([item for each in targets for item in each], dtype=np.int64)
    return TargetRanks.from_scores(np.atleast_2d(scores), rows, flat)


def in_order(ranked: list[int], targets: set[int], k: int) -> dict[str, float]:
    """The textbook definitions on one decided order, written without any of the package's code."""
    hits = [rank for rank, item in enumerate(ranked[:k], start=1) if item in targets]
    n_hits, m = len(hits), len(targets)
    p, r = n_hits / k, n_hits / m
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(m, k) + 1))
    return {
        "hr": float(n_hits > 0),
        "recall": r,
        "precision": p,
        "f1": 2 * p * r / (p + r) if n_hits else 0.0,
        "ndcg": sum(1 / math.log2(rank + 1) for rank in hits) / ideal,
        "mrr": 1 / hits[0] if hits else 0.0,
        "map": sum(n / rank for n, rank in enumerate(hits, start=1)) / m,
    }


def expected(scores: np.ndarray, targets: list[int], k: int) -> dict[str, float]:
    """The mean of ``in_order`` over every order that the scores allow."""
    able = [item for item in range(len(scores)) if scores[item] > -np.inf]
    orders = [
        order
        for order in itertools.permutations(able)
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]
    each = [in_order(list(order), set(targets), min(k, len(scores))) for order in orders]
    return {name: float(np.mean([one[name] for one in each])) for name in ACCURACY}


@st.composite
def tied_rankings(draw: st.DrawFn) -> tuple[np.ndarray, list[int]]:
    n = draw(st.integers(1, 6))
    levels = st.sampled_from([0.0, 0.0, 1.0, 2.0, -np.inf])
    scores = np.array(draw(st.lists(levels, min_size=n, max_size=n)))
    targets = draw(st.sets(st.integers(0, n - 1), min_size=1))
    return scores, sorted(targets)


@settings(max_examples=120, deadline=None)
@given(tied_rankings(), st.integers(1, 8))
def test_ties_are_the_mean_over_all_orders(case, k):
    scores, targets = case
    ranks = ranks_of(scores, [targets])
    for name, value in expected(scores, targets, k).items():
        assert ACCURACY[name](ranks, k)[0] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("k", [1, 5, 10, 40, 1000])
def test_ndcg_with_ties_equals_scikit_learn(k):
    rng = np.random.default_rng(1)
    scores = rng.integers(0, 6, size=(80, 40)).astype(float)
    targets = [sorted(rng.choice(40, rng.integers(1, 9), replace=False)) for _ in range(80)]
    truth = np.zeros((80, 40))
    for row, items in enumerate(targets):
        truth[row, items] = 1
    ours = ndcg(ranks_of(scores, targets), k)
    reference = [ndcg_score(truth[[i]], scores[[i]], k=k, ignore_ties=False) for i in range(80)]
    np.testing.assert_allclose(ours, reference, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_without_ties_equals_ranx():
    from ranx import Qrels, Run, evaluate

    rng = np.random.default_rng(2)
    n, n_items = 60, 50
    scores = rng.permuted(np.tile(np.arange(n_items, dtype=float), (n, 1)), axis=1)
    targets = [sorted(rng.choice(n_items, rng.integers(1, 12), replace=False)) for _ in range(n)]
    qrels = Qrels({f"u{u}": {f"i{i}": 1 for i in items} for u, items in enumerate(targets)})
    run = Run({f"u{u}": {f"i{i}": float(s) for i, s in enumerate(scores[u])} for u in range(n)})
    names = {"hr": "hit_rate", **{name: name for name in ACCURACY if name != "hr"}}
    for k in (1, 3, 10, 50):
        wanted = evaluate(qrels, run, [f"{name}@{k}" for name in names.values()])
        result = accuracy(ranks_of(scores, targets), k)
        for name, reference in names.items():
            mean = result[f"{name}@{k}"].mean()
            assert mean == pytest.approx(wanted[f"{reference}@{k}"], abs=1e-9), (name, k)


def test_average_ranks_cannot_be_gamed():
    # The target and 18 others tied on top: the average rank is 10, so a metric on average ranks
    # would call this a sure hit. A user shown ten of the nineteen sees it ten times in nineteen.
    scores = np.zeros((1, 100))
    scores[0, :19] = 1.0
    ranks = ranks_of(scores, [[7]])
    assert hr(ranks, 10)[0] == pytest.approx(10 / 19)
    assert hr(ranks, 19)[0] == 1.0
    assert mrr(ranks, 10)[0] == pytest.approx(sum(1 / r for r in range(1, 11)) / 19)


def test_a_constant_model_is_worth_what_chance_is_worth():
    ranks = ranks_of(np.zeros((3, 200)), [[0], [99], [199]])
    np.testing.assert_allclose(hr(ranks, 10), 10 / 200)
    np.testing.assert_allclose(precision(ranks, 10), 1 / 200)


def test_first_of_several_in_a_large_tie_equals_exact_combinatorics():
    above, tied, relevant, k = 3, 400, 7, 50
    scores = np.concatenate([np.full(above, 2.0), np.full(tied, 1.0), np.zeros(20)])
    ranks = ranks_of(scores, [list(range(above, above + relevant))])
    orders = math.comb(tied, relevant)
    wanted = sum(
        math.comb(tied - i, relevant - 1) / orders / (above + i)
        for i in range(1, k - above + 1)
    )  # fmt: skip
    assert mrr(ranks, k)[0] == pytest.approx(wanted, rel=1e-12)
    missed = math.comb(tied - relevant, k - above) / math.comb(tied, k - above)
    assert hr(ranks, k)[0] == pytest.approx(1 - missed, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_only_the_order_of_scores_matters(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-3, 4, size=(6, 15)).astype(np.float64)
    targets = [sorted(rng.choice(15, rng.integers(0, 4), replace=False)) for _ in range(6)]
    first = accuracy(ranks_of(scores, targets), (2, 5))
    for changed in (np.exp(scores), 3 * scores - 7, scores.astype(np.float32)):
        for name, values in accuracy(ranks_of(changed, targets), (2, 5)).items():
            np.testing.assert_array_equal(values, first[name])


def test_rows_without_targets_have_no_value():
    ranks = ranks_of(np.arange(12.0).reshape(3, 4), [[3], [], [0, 1]])
    for name, values in accuracy(ranks, 2).items():
        assert np.isnan(values[1]), name
        assert np.isfinite(values[[0, 2]]).all(), name
    empty = ranks_of(np.zeros((2, 4)), [[], []])
    assert np.isnan(np.stack(list(accuracy(empty, 2).values()))).all()


def test_k_beyond_the_catalogue_equals_the_catalogue():
    scores = np.random.default_rng(3).integers(0, 4, size=(5, 8)).astype(float)
    targets = [[0], [1, 2], [3], [4, 5, 6], [7]]
    ranks = ranks_of(scores, targets)
    beyond, whole = accuracy(ranks, 1000), accuracy(ranks, 8)
    for name in ACCURACY:
        np.testing.assert_array_equal(beyond[f"{name}@1000"], whole[f"{name}@8"])
    np.testing.assert_allclose(recall(ranks, 1000), 1.0)


def test_items_never_recommended_are_missed_even_in_the_whole_catalogue():
    scores = np.array([[1.0, -np.inf, -np.inf, 0.0]])
    ranks = ranks_of(scores, [[1]])
    assert all(values[0] == 0.0 for values in accuracy(ranks, (1, 4)).values())
    half = ranks_of(scores, [[1, 3]])
    assert recall(half, 4)[0] == 0.5
    # and they take no place from those that are ranked
    assert mrr(ranks_of(scores, [[3]]), 4)[0] == 0.5


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "10", (5, 0), ()])
def test_wrong_k_raises(k):
    with pytest.raises(ValueError, match="k "):
        check_k(k)


def test_k_is_sorted_and_without_repeats():
    assert check_k((20, 5, 5)) == (5, 20)
    assert check_k(np.int64(3)) == (3,)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_cannot_be_ranked_raise_and_say_where(value):
    scores = np.zeros((4, 5))
    scores[2, 3] = value
    with pytest.raises(ValueError, match="row 2, column 3"):
        check_scores(scores, (4, 5))


def test_scores_keep_their_type_and_must_have_the_shape():
    assert check_scores(np.zeros((2, 3), np.float32), (2, 3)).dtype == np.float32
    assert check_scores(np.zeros((2, 3), int), (2, 3)).dtype == np.float64
    assert check_scores(np.full((2, 3), -np.inf), (2, 3)).shape == (2, 3)
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(3, 2\)"):
        check_scores(np.zeros((3, 2)), (2, 3))
