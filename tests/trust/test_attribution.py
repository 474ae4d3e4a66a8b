"""Attributions by gradients, attention and deletion, against closed forms and captum."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from torch import Tensor

from m6rec_lite import trust
from m6rec_lite.data import Histories
from m6rec_lite.recommenders import EASE, BERT4Rec, GRU4Rec, SASRec
from m6rec_lite.trust import event_scores
from tests.worlds import small_split

RECIPE = {"epochs": 1, "patience": None, "hidden_size": 16, "seed": 0}


@cache
def sasrec(max_length: int = 200) -> SASRec:
    model = SASRec(max_length=max_length, n_layers=2, n_heads=2, **RECIPE)
    return model.fit(small_split().train, progress=False)


def questions(n: int = 5, latest: int = 6) -> tuple[Histories, np.ndarray]:
    histories = small_split().test.histories
    histories = histories[np.flatnonzero(histories.lengths > latest)[:n]].last(latest)
    return histories, np.arange(n) + 3


def curved(x: Tensor) -> Tensor:
    return torch.tanh(x.sum(dim=2)).prod(dim=1) + (x**2).sum(dim=(1, 2))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 6), st.integers(0, 99))
def test_a_linear_score_is_attributed_exactly(t: int, seed: int) -> None:
    torch.manual_seed(seed)
    weight, x = torch.randn(t, 3), torch.randn(t, 3)
    exact = (weight * x).sum(dim=1)
    for result in (
        trust.gradient_times_input(lambda z: (weight * z).sum(dim=(1, 2)), x),
        trust.integrated_gradients(lambda z: (weight * z).sum(dim=(1, 2)), x, steps=3),
    ):
        torch.testing.assert_close(result, exact, atol=1e-4, rtol=1e-4)


def test_integrated_gradients_sum_to_the_change_of_the_score() -> None:
    x, start = torch.randn(4, 3), torch.randn(4, 3)
    parts = trust.integrated_gradients(curved, x, start, steps=400)
    torch.testing.assert_close(
        parts.sum(), (curved(x[None]) - curved(start[None]))[0], atol=1e-3, rtol=1e-3
    )


def test_the_gradient_is_zero_where_a_score_is_saturated() -> None:
    def saturated(x: Tensor) -> Tensor:
        return x.sum(dim=(1, 2)).clamp(max=1.0)

    x = torch.full((1, 1), 4.0)
    assert trust.gradient_times_input(saturated, x).item() == 0
    assert trust.integrated_gradients(saturated, x, steps=100).item() == pytest.approx(1)


@pytest.mark.extra
def test_captum_gives_the_same() -> None:
    methods = pytest.importorskip("captum.attr")
    x = torch.randn(4, 3, dtype=torch.float64)
    integrated = methods.IntegratedGradients(curved).attribute(
        x[None], n_steps=20, method="riemann_middle"
    )
    torch.testing.assert_close(
        trust.integrated_gradients(curved, x, steps=20), integrated[0].sum(dim=1)
    )
    product = methods.InputXGradient(curved).attribute(x[None].requires_grad_())
    torch.testing.assert_close(
        trust.gradient_times_input(curved, x), product[0].sum(dim=1).detach()
    )


def test_rollout_by_hand() -> None:
    maps = np.array([[[[1.0, 0.0], [0.5, 0.5]]], [[[1.0, 0.0], [0.2, 0.8]]]])  # two layers
    flow = np.array([[1, 0], [0.1, 0.9]]) @ np.array([[1, 0], [0.25, 0.75]])
    np.testing.assert_allclose(trust.attention_rollout(maps), flow[-1])
    np.testing.assert_allclose(trust.attention_rollout(np.eye(3)[None, None]), [0, 0, 1])
    with pytest.raises(ValueError, match="layers, heads"):
        trust.attention_rollout(np.eye(3))


def test_bad_input_of_integrated_gradients() -> None:
    with pytest.raises(ValueError, match="steps must be at least 1"):
        trust.integrated_gradients(curved, torch.zeros(2, 2), steps=0)
    with pytest.raises(ValueError, match="baseline has shape"):
        trust.integrated_gradients(curved, torch.zeros(2, 2), torch.zeros(2))


@pytest.mark.parametrize("kind", [SASRec, GRU4Rec])
def test_the_score_of_the_embeddings_is_that_of_the_model(kind: type) -> None:
    histories, items = questions()
    model = (
        sasrec() if kind is SASRec else GRU4Rec(**RECIPE).fit(small_split().train, progress=False)
    )
    before = model.score(histories)
    for row, item in enumerate(items):
        score, x = event_scores._item_score(model, histories[row], int(item))
        expected = log_softmax(before[row].astype(float))[item]
        both = score(torch.stack([x, 0 * x])).detach()
        assert both[0].item() == pytest.approx(expected, abs=1e-4)
        parts = trust.attribute(model, histories[row], items[[row]], steps=100)
        assert parts.sum() == pytest.approx((both[0] - both[1]).item(), abs=0.02)
    np.testing.assert_array_equal(model.score(histories), before)  # the hook is removed


def test_attention_does_not_read_the_item() -> None:
    histories, items = questions()
    for method in ("attention", "rollout"):
        first = trust.attribute(sasrec(), histories, items, method)
        np.testing.assert_array_equal(
            first, trust.attribute(sasrec(), histories, items + 1, method)
        )
        totals = np.bincount(histories.rows, first)
        np.testing.assert_allclose(totals, 1, rtol=1e-5)
    gradients = [trust.attribute(sasrec(), histories, i, "gradient") for i in (items, items + 1)]
    assert not np.allclose(*gradients)


def test_events_that_are_not_read_have_no_part() -> None:
    histories, items = questions(latest=6)
    for method in ("gradient", "integrated", "attention", "rollout"):
        parts = trust.attribute(sasrec(3), histories, items, method).reshape(-1, 6)
        assert (parts[:, :3] == 0).all()
        assert (parts[:, 3:] != 0).any()


def test_deletion_is_the_weight_in_a_linear_model() -> None:
    histories, items = questions()
    model = EASE().fit(small_split().train, progress=False)
    weights = model.weights_[histories.items, items[histories.rows]]
    parts = trust.deletion(model, histories, items, log_softmax=False)
    np.testing.assert_allclose(parts, weights, atol=1e-9)


def test_deletion_is_the_score_of_a_shorter_history() -> None:
    histories, items = questions(n=3)
    parts = trust.deletion(sasrec(), histories, items).reshape(3, 6)
    ids = histories.item_ids[histories.items].reshape(3, 6)
    for row in range(3):
        whole = log_softmax(sasrec().score(histories[row])[0].astype(float))[items[row]]
        for event in range(6):
            shorter = Histories.from_lists(
                [np.delete(ids[row], event).tolist()], histories.item_ids
            )
            score = log_softmax(sasrec().score(shorter)[0].astype(float))[items[row]]
            assert parts[row, event] == pytest.approx(whole - score, abs=1e-4)


def test_the_event_with_the_highest_value_is_deleted() -> None:
    histories, _ = questions(n=2, latest=3)
    shorter = trust.without_events(histories, np.array([5.0, 1, 2, 0, 7, 7]))
    np.testing.assert_array_equal(shorter.items, histories.items[[1, 2, 3, 4]])
    np.testing.assert_array_equal(shorter.lengths, [2, 2])
    first = trust.first_items(sasrec(), shorter, histories)
    scores = sasrec().score(shorter)
    scores[histories.rows, histories.items] = -np.inf
    np.testing.assert_array_equal(first, scores.argmax(axis=1))


def test_bad_input_of_histories() -> None:
    histories, items = questions()
    with pytest.raises(ValueError, match="one for each history"):
        trust.deletion(sasrec(), histories, histories.item_ids[items])
    with pytest.raises(ValueError, match="one for each history"):
        trust.attribute(sasrec(), histories, items[:2])
    with pytest.raises(ValueError, match="one is shorter"):
        trust.deletion(sasrec(), histories.last(1), items)
    with pytest.raises(ValueError, match="got 'saliency'"):
        trust.attribute(sasrec(), histories, items, "saliency")
    bert = BERT4Rec(**RECIPE).fit(small_split().train, progress=False)
    with pytest.raises(TypeError, match="other vectors"):
        trust.attribute(bert, histories, items)
    with pytest.raises(TypeError, match="no attention maps"):
        trust.attribute(bert, histories, items, "attention")
