"""Popularity against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.recommenders import Popularity

DAY = 86_400


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "user_id": rng.integers(0, 40, 600),
            "item_id": 5 * rng.integers(1, 15, 600),
            "timestamp": rng.integers(100 * DAY, 200 * DAY, 600),
        }
    ).drop_duplicates(["user_id", "item_id"])


def asked(train: Interactions, at: list[int]) -> Histories:
    return Histories.from_lists([[5]] * len(at), train.item_ids, at=at)


def by_item(weights: pd.Series, frame: pd.DataFrame, train: Interactions) -> np.ndarray:
    return weights.groupby(frame["item_id"]).sum().reindex(train.item_ids, fill_value=0).to_numpy()


def test_plain_counts(frame: pd.DataFrame) -> None:
    train = Interactions.from_frame(frame)
    scores = Popularity().fit(train).score(asked(train, [0, 10**9]))
    np.testing.assert_array_equal(scores, [frame["item_id"].value_counts().sort_index()] * 2)


def test_window_and_half_life_from_the_end_of_training(frame: pd.DataFrame) -> None:
    train = Interactions.from_frame(frame)
    age = (frame["timestamp"].max() + 1 - frame["timestamp"]) / DAY
    window = Popularity(window_days=20).fit(train).score(asked(train, [0]))[0]
    np.testing.assert_array_equal(window, by_item((age <= 20).astype(float), frame, train))
    fading = Popularity(half_life_days=7).fit(train).score(asked(train, [0]))[0]
    np.testing.assert_allclose(fading, by_item(0.5 ** (age / 7), frame, train))


@pytest.mark.parametrize("options", [{}, {"window_days": 12.5}, {"half_life_days": 3}])
def test_relative_to_each_history(frame: pd.DataFrame, options: dict[str, float]) -> None:
    train = Interactions.from_frame(frame)
    tie = int(frame["timestamp"].iloc[7])  # rows at the very moment are not known yet
    moments = [180 * DAY, 100 * DAY, 50 * DAY, 300 * DAY, 150 * DAY + 7, 150 * DAY + 7, tie]
    model = Popularity(relative_to="at", **options).fit(train)
    scores = model.score(asked(train, moments))
    for now, row in zip(moments, scores, strict=True):
        age = (now - frame["timestamp"]) / DAY
        weight = (age > 0).astype(float)
        if "window_days" in options:
            weight *= age <= options["window_days"]
        if "half_life_days" in options:
            weight *= 0.5 ** (age.clip(lower=0) / options["half_life_days"])
        np.testing.assert_allclose(row, by_item(weight, frame, train), atol=1e-12)


def test_the_future_is_not_used(frame: pd.DataFrame) -> None:
    train = Interactions.from_frame(frame)
    model = Popularity(relative_to="at").fit(train)
    np.testing.assert_array_equal(model.score(asked(train, [0])), np.zeros((1, train.n_items)))


def test_a_late_hit_shows_only_with_time() -> None:
    rows = [(u, 1, u * DAY) for u in range(10)] + [(u, 2, (100 + u) * DAY) for u in range(5)]
    train = Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    empty = Histories.from_lists([[]], train.item_ids, at=50 * DAY)

    def best(model: Popularity) -> int:
        return int(model.fit(train).recommend(empty, k=1)["item_id"].iloc[0])

    assert best(Popularity()) == 1
    assert best(Popularity(window_days=30)) == 2
    assert best(Popularity(half_life_days=10)) == 2
    assert best(Popularity(half_life_days=10, relative_to="at")) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"window_days": 0},
        {"half_life_days": -1},
        {"window_days": 1, "half_life_days": 1},
        {"relative_to": "now"},
        {"window_days": float("nan")},
    ],
)
def test_bad_settings(options: dict) -> None:
    with pytest.raises(ValueError, match=r"must be|not both"):
        Popularity(**options)
