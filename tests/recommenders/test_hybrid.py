"""Fusion, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.recommenders import EASE, Bigram, Hybrid, ItemKNN, Popularity, Recommender

FRAME = pd.DataFrame(
    {"user_id": [1, 1, 1, 2, 2, 3, 3], "item_id": [3, 5, 9, 3, 4, 3, 9], "timestamp": range(7)}
)
TRAIN = Interactions.from_frame(FRAME)
QUERIES = Histories.from_lists([[3], []], TRAIN.item_ids)


class Says(Recommender):
    """Gives the same scores to everybody, and counts how often it is fitted."""

    def __init__(self, values: tuple[float, ...] = (0.0, 1.0, 2.0, 3.0)) -> None:
        self.values = tuple(values)
        self.fits = 0

    def _fit(self, train: Interactions, **extras: Any) -> None:
        self.fits += 1
        self.values_ = np.array(self.values)

    def _score(self, histories: Histories) -> np.ndarray:
        return np.tile(self.values_, (len(histories), 1))


def fuse(*rows: tuple[float, ...], **options: Any) -> np.ndarray:
    return Hybrid([Says(row) for row in rows], **options).fit(TRAIN).score(QUERIES)[0]


def test_sum_standardises_each_part() -> None:
    a, b = (0.0, 0.0, 0.0, 4.0), (300.0, 100.0, 200.0, 100.0)

    def z(row: tuple[float, ...]) -> np.ndarray:
        return (np.array(row) - np.mean(row)) / np.std(row)

    np.testing.assert_allclose(fuse(a, b), z(a) + z(b))
    np.testing.assert_allclose(fuse(a, b, weights=[1, 0.25]), z(a) + 0.25 * z(b))
    scaled = tuple(1e6 * np.array(b) + 5)
    np.testing.assert_allclose(fuse(a, scaled), fuse(a, b))


def test_rank_fusion_by_hand() -> None:
    fused = fuse((0.0, 5.0, 1.0, 1.0), (9.0, 8.0, 7.0, 6.0), fusion="rank", weights=[2, 1])
    ranks_a, ranks_b = np.array([4, 1, 2.5, 2.5]), np.array([1, 2, 3, 4])  # ties share a rank
    np.testing.assert_allclose(fused, 2 / (60 + ranks_a) + 1 / (60 + ranks_b))


def test_product_wants_an_item_to_suit_every_part() -> None:
    a, b = (0.0, 0.5, 1.0, 0.9), (1.0, 0.5, 0.0, 0.4)
    assert np.argmax(fuse(a, b, fusion="product")) == 3
    unit = [(np.array(row) - min(row)) / (max(row) - min(row)) for row in (a, b)]
    inside = [1, 3]  # where neither part says nought
    np.testing.assert_allclose(
        np.exp(fuse(a, b, fusion="product"))[inside], (unit[0] * unit[1])[inside], rtol=1e-4
    )


@pytest.mark.parametrize("fusion", ["sum", "product", "rank"])
def test_one_part_alone_keeps_its_order(fusion: str) -> None:
    part = (0.3, -2.0, 8.0, 0.1)
    assert np.argsort(fuse(part, fusion=fusion)).tolist() == np.argsort(part).tolist()


@pytest.mark.parametrize("fusion", ["sum", "product", "rank"])
def test_never_stays_never(fusion: str) -> None:
    fused = fuse((1.0, -np.inf, 2.0, 3.0), (1.0, 9.0, 2.0, 3.0), fusion=fusion)
    assert np.isneginf(fused[1])
    assert np.isfinite(np.delete(fused, 1)).all()
    assert fused[3] > fused[2] > fused[0]


@pytest.mark.parametrize("fusion", ["sum", "product", "rank"])
def test_a_part_that_knows_nothing_decides_nothing(fusion: str) -> None:
    flat = Hybrid([Popularity(relative_to="at"), Says()], fusion=fusion).fit(TRAIN)
    scores = flat.score(Histories.from_lists([[3]], TRAIN.item_ids, at=0))
    assert np.isfinite(scores).all()
    assert np.argsort(scores[0]).tolist() == [0, 1, 2, 3]


def test_fitted_parts_are_taken_as_they_are() -> None:
    inputs, fresh = Says().fit(TRAIN), Says()
    hybrid = Hybrid([inputs, fresh]).fit(TRAIN).fit(TRAIN)
    assert inputs.fits == 1
    assert fresh.fits == 2
    assert hybrid.n_params == inputs.n_params + fresh.n_params


def test_a_part_of_another_catalogue_raises() -> None:
    other = Interactions.from_frame(FRAME[FRAME["item_id"] != 4])
    with pytest.raises(DataError, match="another catalogue"):
        Hybrid([Popularity().fit(other), Bigram()]).fit(TRAIN)


def test_nested_hybrids_survive_saving(tmp_path) -> None:
    inner = Hybrid([EASE(l2=2), Bigram()], fusion="rank")
    model = Hybrid([inner, ItemKNN(k=2)], weights=[0.3, 0.7]).fit(TRAIN)
    loaded = Hybrid.load(model.save(tmp_path / "model"))
    assert loaded.variant == model.variant
    np.testing.assert_array_equal(loaded.score(QUERIES), model.score(QUERIES))


def test_variant_names_the_parts() -> None:
    hybrid = Hybrid([ItemKNN(k=7), Popularity()], weights=[2, 1], fusion="rank")
    assert hybrid.variant == "ItemKNN(k=7)+Popularity weights=[2.0, 1.0] fusion=rank"


@pytest.mark.parametrize(
    ("parts", "options"),
    [
        ([], {}),
        (["Bigram"], {}),
        ([Bigram()], {"weights": [1, 2]}),
        ([Bigram(), Popularity()], {"weights": [0, 0]}),
        ([Bigram()], {"weights": [-1]}),
        ([Bigram()], {"fusion": "vote"}),
        ([Bigram()], {"rank_constant": -1}),
    ],
)
def test_bad_settings(parts: list, options: dict) -> None:
    with pytest.raises(ValueError, match=r"must be|give each one|all weights are 0"):
        Hybrid(parts, **options)
