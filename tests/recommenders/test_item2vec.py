"""Item vectors by skip-gram: the gradients, the pairs, the optimum, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import logsigmoid

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.recommenders import Item2Vec, skip_gram_gradients
from m6rec_lite.recommenders.item2vec import later_pairs


def interactions(histories: list[list[int]]) -> Interactions:
    rows = [(user, item, n) for user, items in enumerate(histories) for n, item in enumerate(items)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return Interactions.from_frame(frame)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(1, 6), k=st.integers(1, 4))
def test_gradients_equal_autograd(seed: int, n: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    u, v = rng.standard_normal((2, 5, 3))
    earlier, later = rng.integers(5, size=(2, n))
    negatives = rng.integers(5, size=(n, k))
    loss, du, dv = skip_gram_gradients(u, v, earlier, later, negatives)
    tu, tv = (torch.tensor(x, requires_grad=True) for x in (u, v))
    positive = (tu[earlier] * tv[later]).sum(-1)
    negative = (tu[earlier][:, None] * tv[negatives]).sum(-1)
    expected = -logsigmoid(positive).sum() - logsigmoid(-negative).sum()
    expected.backward()
    assert loss == pytest.approx(expected.item())
    np.testing.assert_allclose(du, tu.grad)
    np.testing.assert_allclose(dv, tv.grad)


@settings(max_examples=30, deadline=None)
@given(
    histories=st.lists(st.lists(st.integers(1, 9), max_size=6), min_size=1, max_size=4).filter(any),
    window=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_pairs_are_those_of_each_history(
    histories: list[list[int]], window: int, seed: int
) -> None:
    train = interactions(histories)
    pairs = later_pairs(train, window, np.random.default_rng(seed))
    reach = iter(np.random.default_rng(seed).integers(1, window + 1, size=len(train)))
    expected = []
    for items in histories:
        for i, first in enumerate(items):
            expected += [(first, second) for second in items[i + 1 : i + 1 + next(reach)]]
    assert sorted(map(tuple, train.item_ids[pairs].tolist())) == sorted(expected)


def test_neighbours_alone_with_a_window_of_one() -> None:
    histories = [[1, 2, 3], [4, 5]]
    train = interactions(histories)
    pairs = train.item_ids[later_pairs(train, 1, np.random.default_rng(0))]
    expected = [pair for items in histories for pair in itertools.pairwise(items)]
    assert sorted(map(tuple, pairs.tolist())) == expected


def test_dot_products_approach_the_shifted_lifts() -> None:
    """With as many factors as items, u_i . v_j is ln(P(j | i) / q(j)) - ln k."""
    histories = [[1, 2]] * 30 + [[1, 3]] * 10 + [[4, 3]] * 30 + [[4, 2]] * 10
    train = interactions(histories)
    model = Item2Vec(factors=4, window=1, negatives=2, power=1, epochs=150, lr=0.05)
    model.fit(train, progress=False)
    dots = model.item_factors_ @ model.next_factors_.T
    follows = np.array([[30, 10], [10, 30]]) / 40  # of items 2 and 3, after 1 and after 4
    expected = np.log(follows / np.exp(model.log_base_[1:3])) - np.log(2)
    np.testing.assert_allclose(dots[[0, 3], 1:3], expected, atol=0.15)


def test_score_is_the_formula() -> None:
    train = interactions([[1, 2, 3], [2, 3, 1], [3, 1, 2]])
    model = Item2Vec(factors=3, epochs=2, decay=0.5, power=0.5).fit(train, progress=False)
    u, v = model.item_factors_, model.next_factors_
    counts = np.bincount(train.items) ** 0.5
    expected = np.log(counts / counts.sum()) + (u[2] + 0.5 * u[0] + 0.25 * u[0]) @ v.T
    scores = model.score(Histories.from_lists([[1, 1, 3]], train.item_ids))
    np.testing.assert_allclose(scores[0], expected, rtol=1e-5)


def test_order_matters_unless_symmetric() -> None:
    train = interactions([[1, 2], [3, 4]] * 40)
    model = Item2Vec(factors=4, window=1).fit(train, progress=False)
    after_two = model.score(Histories.from_lists([[2]], train.item_ids))[0]
    assert np.ptp(after_two) == 0  # nothing follows item 2, and all counts are equal
    model = Item2Vec(factors=4, window=1, symmetric=True).fit(train, progress=False)
    assert model.recommend(Histories.from_lists([[2]], train.item_ids), k=1)["item_id"].item() == 1


def test_item_without_training_rows_has_vectors_of_zeros() -> None:
    frame = pd.DataFrame([(1, 1, 0), (1, 2, 1)], columns=["user_id", "item_id", "timestamp"])
    train = Interactions.from_frame(frame, item_ids=np.array([1, 2, 3]))
    model = Item2Vec(factors=4).fit(train, progress=False)
    assert not model.item_factors_[2].any()
    assert not model.next_factors_[2].any()
    assert np.isfinite(model.log_base_).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [("factors", 0), ("window", 0), ("negatives", 0), ("power", 1.5), ("lr", 0), ("decay", 0)],
)
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be"):
        Item2Vec(**{name: value})
