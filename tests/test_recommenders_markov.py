"""The bigram against pandas' cross table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.recommenders import Bigram


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
    asked = Histories.from_lists([[3, 5], [5], []], train.item_ids)
    scores = model.score(asked)
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
