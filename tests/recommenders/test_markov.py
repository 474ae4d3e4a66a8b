"""The bigram against pandas' cross table, and the pooled skip-grams against their formula."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from m6rec_lite.data import Histories, Interactions, leave_one_out, load_dataset
from m6rec_lite.evaluation import evaluate
from m6rec_lite.language import AbsoluteDiscounting, KneserNey, NGram, WittenBell
from m6rec_lite.recommenders import Bigram, Markov, Popularity
from m6rec_lite.recommenders.markov import item_ngram


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 30, 400),
            "item_id": rng.integers(1, 9, 400),
            "timestamp": rng.integers(0, 10**6, 400),
        }
    )


def test_counts_equal_a_cross_table(frame: pd.DataFrame) -> None:
    train = Interactions.from_frame(frame)
    ordered = frame.sort_values(["user_id", "timestamp"], kind="stable")
    follower = ordered.groupby("user_id")["item_id"].shift(-1)
    table = pd.crosstab(ordered["item_id"], follower)
    np.testing.assert_array_equal(Bigram().fit(train).counts_.toarray(), table.to_numpy())


@pytest.mark.parametrize("prior", [0.5, 1.0, 20.0])
def test_rows_are_the_distributions_of_the_formula(frame: pd.DataFrame, prior: float) -> None:
    train = Interactions.from_frame(frame.drop_duplicates(["user_id", "item_id"]))
    model = Bigram(prior).fit(train)
    queries = Histories.from_lists([[3, 5], [5], []], train.item_ids)
    scores = model.score(queries)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0)
    np.testing.assert_array_equal(scores[0], scores[1])  # only the last item matters
    share = np.bincount(train.items) / len(train)
    counts = model.counts_.toarray()[4]
    np.testing.assert_allclose(scores[1], (counts + prior * share) / (counts.sum() + prior))
    np.testing.assert_allclose(scores[2], share)


def test_no_pair_crosses_from_one_user_to_the_next() -> None:
    rows = [(1, 10, 0), (1, 20, 1), (2, 30, 0), (2, 40, 1)]
    train = Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    counts = Bigram().fit(train).counts_.toarray()
    assert counts.sum() == 2
    assert counts[0, 1] == counts[2, 3] == 1


def test_one_imaginary_observation_never_overrules_a_count() -> None:
    rows = [(u, 3, 0) for u in range(10, 60)]  # 3 is popular, but follows nothing
    rows += [(1, 1, 0), (1, 2, 1), (2, 1, 0), (2, 4, 1), (3, 4, 0)]
    train = Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    after_one = Histories.from_lists([[1]], train.item_ids)
    assert Bigram().fit(train).recommend(after_one)["item_id"].tolist() == [4, 2, 3]
    # Without the prior, what never followed is tied at nought.
    bare = Bigram(prior=0).fit(train).score(after_one)[0]
    np.testing.assert_array_equal(bare, [0, 0.5, 0, 0.5])


def test_an_item_that_nothing_follows_backs_off_to_popularity() -> None:
    rows = [(1, 1, 0), (1, 2, 1), (2, 3, 0), (3, 3, 0)]
    train = Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    after_two = Histories.from_lists([[2]], train.item_ids)
    for prior in (0.0, 1.0):
        table = Bigram(prior).fit(train).recommend(after_two)
        assert table["item_id"].tolist() == [3, 1]


def test_bad_prior() -> None:
    with pytest.raises(ValueError, match="prior must be >= 0"):
        Bigram(prior=-1)


# Markov


def log_of(rows: list[list[int]]) -> Interactions:
    """Interactions of users 1, 2, … who met these items in this order."""
    frame = pd.DataFrame(
        [(user, item, t) for user, row in enumerate(rows, 1) for t, item in enumerate(row)],
        columns=["user_id", "item_id", "timestamp"],
    )
    return Interactions.from_frame(frame)


def by_formula(rows: list[list[int]], train: Interactions, queries: list[int], model: Markov):
    """The docstring's formula, one probability at a time, through NGram on the lists themselves."""
    smoothing = {
        "absolute-discounting": AbsoluteDiscounting(model.discount),
        "kneser-ney": KneserNey(model.discount),
        "witten-bell": WittenBell(),
    }[model.smoothing]
    items = train.item_ids.tolist()
    plain = {"vocabulary": items, "unknown": None, "edges": None}
    follows = NGram(2, smoothing, **plain).fit(rows)
    skipped = NGram(2, smoothing, skips=model.skips, skip_weight=model.skip_weight, **plain).fit(
        rows
    )
    scores = []
    for j in items:
        score = np.log(follows.prob(j))
        for s, i in enumerate(reversed(queries), 1):
            if s == 1:
                score += np.log(follows.prob(j, [i])) - np.log(follows.prob(j))
            else:
                lift = np.log(skipped.prob(j, [i])) - np.log(skipped.prob(j))
                score += model.weight * model.decay ** (s - 2) * lift
        scores.append(score)
    return np.array(scores) - logsumexp(scores)


histories_of_letters = st.lists(
    st.lists(st.integers(1, 6), min_size=1, max_size=7), min_size=1, max_size=8
)


@settings(max_examples=60, deadline=None)
@given(
    rows=histories_of_letters,
    smoothing=st.sampled_from(["absolute-discounting", "kneser-ney", "witten-bell"]),
    discount=st.floats(0.1, 1.0),
    skips=st.integers(1, 4),
    skip_weight=st.floats(0.2, 1.0),
    weight=st.floats(0, 1.5),
    decay=st.floats(0.2, 1.0),
    data=st.data(),
)
def test_markov_equals_its_formula(
    rows, smoothing, discount, skips, skip_weight, weight, decay, data
) -> None:
    train = log_of(rows)
    model = Markov(smoothing, discount, skips, skip_weight, weight, decay).fit(train)
    queries = data.draw(st.lists(st.sampled_from(train.item_ids.tolist()), min_size=1, max_size=5))
    scores = model.score(Histories.from_lists([queries], train.item_ids))[0]
    if np.ptp(scores) == 0:
        return  # a row of equal scores is answered by popularity
    wanted = by_formula(rows, train, queries, model)
    if np.ptp(wanted) < 1e-12:
        return
    np.testing.assert_allclose(scores, wanted, atol=1e-9)


def test_scores_are_log_probabilities(frame: pd.DataFrame) -> None:
    train = Interactions.from_frame(frame)
    queries = Histories.from_lists([[3, 5, 1], [5], [2, 2, 7, 1, 4]], train.item_ids)
    np.testing.assert_allclose(np.exp(Markov().fit(train).score(queries)).sum(axis=1), 1.0)


@pytest.mark.parametrize("smoothing", ["absolute-discounting", "kneser-ney", "witten-bell"])
def test_without_weight_it_is_the_smoothed_bigram(frame: pd.DataFrame, smoothing: str) -> None:
    train = Interactions.from_frame(frame)
    model = Markov(smoothing, discount=0.7, weight=0).fit(train)
    kind = {"absolute-discounting": AbsoluteDiscounting(0.7), "kneser-ney": KneserNey(0.7)}
    ngram = item_ngram(train, kind.get(smoothing, WittenBell()))
    queries = Histories.from_lists([[3, 5], [5], [1, 2]], train.item_ids)
    np.testing.assert_allclose(np.exp(model.score(queries)), ngram.next_probs([[5], [5], [2]]))


def test_a_skip_gram_remembers_what_a_bigram_forgets() -> None:
    """1 leads to 2 and 3 to 4, always with a stranger in between, so the last item says nothing."""
    rng = np.random.default_rng(0)
    rows = [[*pair[:1], int(rng.integers(50, 58)), *pair[1:]] for pair in [(1, 2), (3, 4)] * 60]
    train = log_of(rows)
    queries = Histories.from_lists([[1, 50], [3, 50]], train.item_ids)
    known = Markov().fit(train).recommend(queries, k=1)["item_id"].tolist()
    assert known == [2, 4]
    forgot = Markov(weight=0).fit(train).recommend(queries, k=1)["item_id"].tolist()
    assert forgot[0] == forgot[1]


def test_what_is_further_back_weighs_less() -> None:
    rows = [[1, 9, 2], [3, 9, 4]] * 20
    train = log_of(rows)
    queries = Histories.from_lists([[3, 1, 9], [1, 3, 9]], train.item_ids)
    best = Markov(decay=0.5).fit(train).recommend(queries, k=1)["item_id"].tolist()
    assert best == [2, 4]
    scores = Markov(decay=1.0, skips=2).fit(train).score(queries)
    two, four = np.searchsorted(train.item_ids, [2, 4])
    np.testing.assert_allclose(scores[:, two], scores[:, four])


def test_without_a_history_markov_ranks_as_popularity_does(frame: pd.DataFrame) -> None:
    train = Interactions.from_frame(frame.drop_duplicates(["user_id", "item_id"]))
    empty = Histories.from_lists([[]], train.item_ids)
    scores = Markov().fit(train).score(empty)[0]
    popular = Popularity().fit(train).score(empty)[0]
    assert (np.diff(scores[np.argsort(popular, kind="stable")]) >= 0).all()
    assert (np.sign(np.subtract.outer(scores, scores))
            == np.sign(np.subtract.outer(popular, popular))).all()  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smoothing": "maximum-likelihood"}, "smoothing must be one of absolute-discounting"),
        ({"discount": 0}, "discount must be > 0"),
        ({"discount": 1.1}, "discount must be > 0 and <= 1"),
        ({"skips": 0}, "skips must be at least 1"),
        ({"skip_weight": 0}, "skip_weight must be > 0"),
        ({"weight": -1}, "weight must be >= 0"),
        ({"decay": float("nan")}, "decay must be > 0"),
    ],
)
def test_bad_settings_of_markov(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Markov(**settings)


def ndcg(model: Markov | Bigram, split) -> float:
    return evaluate(
        model.fit(split.train, progress=False), split, k=10, bootstrap=0, progress=False
    )["ndcg@10"]


def test_pooled_skip_grams_gain_on_the_bazaar() -> None:
    split = leave_one_out(load_dataset("bazaar"))
    plain, pooled = ndcg(Bigram(), split), ndcg(Markov(), split)
    assert pooled > 1.2 * plain
    assert ndcg(Markov(weight=0), split) == pytest.approx(plain, rel=0.02)


@pytest.mark.real_data
@pytest.mark.parametrize(("name", "least"), [("ml-100k", 0.105), ("ml-1m", 0.158)])
def test_pooled_skip_grams_gain_on_films(name: str, least: float) -> None:
    folder = os.environ.get("M6REC_DATA")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"needs the folder {name} in M6REC_DATA")
    split = leave_one_out(load_dataset(name))
    pooled = ndcg(Markov(), split)
    assert pooled > least
    assert pooled > 1.3 * ndcg(Bigram(), split)
