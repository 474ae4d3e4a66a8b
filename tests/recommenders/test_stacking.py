"""Stacking, bagging, and the average of weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import (
    EASE,
    Bigram,
    Hybrid,
    ItemKNN,
    NotFittedError,
    Popularity,
    Recommender,
    SASRec,
    Stacked,
    average_weights,
    bagging,
)
from tests.worlds import small_split


@pytest.fixture(scope="module")
def split():
    return small_split()


class Noise(Recommender):
    """Scores drawn from the number of events and the item, without any use."""

    def _fit(self, train: Interactions, **extras: object) -> None:
        self.table_ = np.random.default_rng(0).random((50, train.n_items))

    def _score(self, histories: Histories) -> np.ndarray:
        return self.table_[(histories.lengths + histories.user_ids.astype(int)) % 50]


@pytest.mark.parametrize("ranker", ["linear", "mlp", "cnn"])
def test_the_ranker_learns_which_part_to_trust(split, ranker):
    parts = [Noise(), Bigram(), Noise()]
    stacked = Stacked(parts, ranker, epochs=10).fit(split.train, validation=split.validation)
    equal = Hybrid(parts).fit(split.train)
    ndcg = {
        name: evaluate(model, split, bootstrap=0, progress=False)["ndcg@10"]
        for name, model in (("stacked", stacked), ("equal", equal))
    }
    assert ndcg["stacked"] > ndcg["equal"]
    if ranker == "linear":
        noise, bigram = stacked.ranker_[[0, 4]], stacked.ranker_[2]
        assert bigram > noise.max()


def test_without_questions_it_is_the_equal_sum():
    rows = [(1, 7, 5), (2, 8, 5), (3, 9, 6)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(frame)
    parts = [ItemKNN(), Popularity()]
    stacked = Stacked(parts).fit(train)
    histories = Histories.from_lists([[7], [8, 9]], train.item_ids)
    order = np.argsort(-Hybrid(parts).fit(train).score(histories), axis=1, kind="stable")
    ours = np.argsort(-stacked.score(histories), axis=1, kind="stable")
    seen = [set(histories.items[histories.rows == row]) for row in range(2)]
    for row in range(2):
        assert [i for i in ours[row] if i not in seen[row]] == [
            i for i in order[row] if i not in seen[row]
        ]


def test_without_validation_the_parts_do_not_see_the_answers(split):
    """Copies without the last item of each user provide the features; the parts see all rows."""
    rows = []

    class Recorder(Bigram):
        def _fit(self, train: Interactions, **extras: object) -> None:
            rows.append(len(train))
            super()._fit(train, **extras)

    lengths = np.bincount(split.train.users)
    n, users = len(split.train), int((lengths > 1).sum())
    Stacked([Recorder()], epochs=1).fit(split.train)
    assert sorted(rows) == [n - users, n]
    rows.clear()
    Stacked([Recorder()], epochs=1).fit(split.train, validation=split.validation)
    assert rows == [n]


def test_other_items_stay_below_the_candidates(split):
    stacked = Stacked([EASE(), Bigram()], candidates=3, epochs=2)
    stacked.fit(split.train, validation=split.validation)
    histories = split.test.histories
    scores, mean = stacked.score(histories), Hybrid([EASE(), Bigram()]).fit(split.train)
    fused = mean.score(histories)
    for row in range(5):
        seen = histories.items[histories.rows == row]
        fused[row, seen] = -np.inf
        best = set(np.argsort(-fused[row], kind="stable")[:3])
        scores[row, seen] = -np.inf
        assert set(np.argsort(-scores[row])[:3]) == best


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ranker": "forest"}, "ranker must be one of"),
        ({"candidates": 0}, "candidates must be"),
        ({"lr": 0}, "lr must be"),
        ({"weight_decay": -1}, "weight_decay must be"),
    ],
)
def test_bad_arguments_raise(arguments, message):
    with pytest.raises(ValueError, match=message):
        Stacked([Bigram()], **arguments)
    with pytest.raises(ValueError, match="list of recommenders"):
        Stacked([])


def test_bagging_draws_users_and_numbers_the_parts(split):
    numbers = []

    def make(part: int) -> Bigram:
        numbers.append(part)
        return Bigram()

    bag = bagging(make, split.train, 3, seed=0, progress=False)
    again = bagging(make, split.train, 3, seed=0, progress=False)
    assert numbers == [0, 1, 2] * 2
    histories = split.test.histories
    np.testing.assert_array_equal(bag.score(histories), again.score(histories))
    scores = [part.score(histories) for part in bag.recommenders]
    assert not np.array_equal(scores[0], scores[1])
    np.testing.assert_array_equal(bag.item_ids, split.item_ids)


SMALL = {"hidden_size": 8, "n_layers": 1, "epochs": 1, "max_length": 6, "patience": None}


def test_average_weights_is_the_mean(split):
    models = [SASRec(**SMALL, seed=seed).fit(split.train, progress=False) for seed in (0, 1)]
    averaged = average_weights(models)
    first, second, mean = (m._network.state_dict() for m in (*models, averaged))
    for name, value in mean.items():
        torch.testing.assert_close(value, (first[name] + second[name]) / 2)
    same = average_weights([models[0]] * 3)
    np.testing.assert_allclose(
        same.score(split.test.histories), models[0].score(split.test.histories), atol=1e-6
    )


def test_average_weights_refuses_other_shapes(split):
    first = SASRec(**SMALL).fit(split.train, progress=False)
    other = SASRec(**SMALL | {"hidden_size": 4}).fit(split.train, progress=False)
    with pytest.raises(DataError, match="differ in catalogue or shape"):
        average_weights([first, other])
    with pytest.raises(NotFittedError):
        average_weights([SASRec(**SMALL)])
    with pytest.raises(ValueError, match="at least one model"):
        average_weights([])
