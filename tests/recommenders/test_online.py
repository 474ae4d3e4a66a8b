"""The online next-item model: its gradients, updates, and the penalty that keeps old weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from m6rec_lite.data import DataError, Histories, Interactions, NotFittedError
from m6rec_lite.recommenders import OnlineNextItem, next_events
from tests.worlds import small_split

CYCLE = [[1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4]] * 6


def rows_of(lists: list[list[int]], items: int = 5) -> Interactions:
    flat = [item for each in lists for item in each]
    return Interactions(
        np.arange(len(lists)),
        np.arange(items),
        np.repeat(np.arange(len(lists)), [len(each) for each in lists]).astype(np.int32),
        np.array(flat, dtype=np.int32),
        np.concatenate([np.arange(len(each)) for each in lists]),
        np.zeros(len(flat), dtype=np.int8),
        np.ones(len(flat), dtype=np.float32),
    )


def test_next_events_come_in_order_of_time_with_what_was_before() -> None:
    events = next_events(rows_of([[1, 2, 3], [4, 0]]))
    assert events.targets.tolist() == [2, 0, 3]
    assert [row.items.tolist() for row in (events.histories[i] for i in range(3))] == [
        [1], [4], [1, 2],
    ]  # fmt: skip
    later = next_events(rows_of([[1, 2, 3], [4, 0]]), since=2, until=3)
    assert later.targets.tolist() == [3]
    with pytest.raises(DataError, match="no event with a history"):
        next_events(rows_of([[1, 2]]), since=5)


def test_one_step_is_that_of_adagrad_in_torch() -> None:
    rows = rows_of([[1, 2, 3, 1], [4, 0, 2, 2]])
    model = OnlineNextItem(n_factors=3, epochs=1, batch_size=100, lr=0.2).fit(rows)
    events = next_events(rows)
    weights = [
        torch.tensor(each, requires_grad=True)
        for each in (model.inputs_, model.outputs_, model.bias_)
    ]
    squares = [model.squares_inputs_, model.squares_outputs_, model.squares_bias_]
    squares = [each.copy() for each in squares]
    x = torch.zeros(len(events), 5, dtype=torch.float64)
    for i, history in enumerate(events.histories[j] for j in range(len(events))):
        for back, item in enumerate(history.items[::-1]):
            x[i, item] += 0.7**back
    scores = x @ weights[0] @ weights[1].T + weights[2].T
    torch.nn.functional.cross_entropy(scores, torch.tensor(events.targets).long()).backward()
    expected = [
        weight.detach().numpy()
        - 0.2 * weight.grad.numpy() / np.sqrt(square + weight.grad.numpy() ** 2)
        for weight, square in zip(weights, squares, strict=True)
    ]
    model.update(events)
    for got, want in zip((model.inputs_, model.outputs_, model.bias_), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_it_learns_a_cycle_and_then_another_by_updates() -> None:
    model = OnlineNextItem(epochs=30, decay=0.2).fit(rows_of(CYCLE))
    histories = Histories.from_lists([[1], [2], [3], [4]], np.arange(5))
    assert model.score(histories).argmax(axis=1).tolist() == [2, 3, 4, 1]
    backward = next_events(rows_of([each[::-1] for each in CYCLE]))
    for _ in range(30):
        model.update(backward)
    assert model.score(histories).argmax(axis=1).tolist() == [4, 1, 2, 3]


def test_without_memory_a_step_is_longer() -> None:
    backward = next_events(rows_of([each[::-1] for each in CYCLE]))
    moved = {}
    for memory in (0.0, 0.5, 1.0):
        model = OnlineNextItem(memory=memory, decay=0.2, batch_size=100).fit(rows_of(CYCLE))
        before = model.outputs_.copy()
        moved[memory] = np.abs(model.update(backward).outputs_ - before)
    assert (moved[0.0] > moved[0.5]).all()
    assert (moved[0.5] > moved[1.0]).all()


def test_the_importance_is_the_mean_squared_gradient() -> None:
    rows = rows_of([[1, 2, 3, 1], [4, 0, 2, 2]])
    model = OnlineNextItem(n_factors=3, epochs=2).fit(rows)
    events = next_events(rows)
    anchor = model.anchor(events, 1.0)
    total = np.zeros_like(model.outputs_)
    for i in range(len(events)):
        history = events.histories[i]
        x = np.zeros(5)
        np.add.at(x, history.items[::-1], 0.7 ** np.arange(len(history.items)))
        scores = x @ model.inputs_ @ model.outputs_.T + model.bias_[:, 0]
        p = np.exp(scores) / np.exp(scores).sum()
        p[events.targets[i]] -= 1
        total += np.outer(p, x @ model.inputs_) ** 2
    np.testing.assert_allclose(anchor.importance[1], total / len(events))
    np.testing.assert_array_equal(anchor.weights[0], model.inputs_)


def test_a_penalty_keeps_important_weights_near() -> None:
    old, new = next_events(rows_of(CYCLE)), next_events(rows_of([each[::-1] for each in CYCLE]))
    moved = {}
    for penalty in (0.0, 1000.0):
        model = OnlineNextItem(epochs=3, decay=0.2).fit(rows_of(CYCLE))
        anchor = model.anchor(old, penalty)
        for _ in range(5):
            model.update(new, anchor=anchor)
        moved[penalty] = sum(
            (importance * (weights - start) ** 2).sum()
            for weights, start, importance in zip(
                (model.inputs_, model.outputs_, model.bias_),
                anchor.weights,
                anchor.importance,
                strict=True,
            )
        )
    assert moved[1000.0] < 0.5 * moved[0.0]


def test_bad_input_is_refused() -> None:
    split = small_split()
    with pytest.raises(NotFittedError):
        OnlineNextItem().update(next_events(split.train))
    model = OnlineNextItem(epochs=1).fit(rows_of(CYCLE))
    with pytest.raises(DataError, match="catalogue"):
        model.update(next_events(split.train))
    with pytest.raises(ValueError, match="penalty"):
        model.anchor(next_events(rows_of(CYCLE)), -1.0)
    for wrong in ({"lr": 0.0}, {"decay": 0.0}, {"epochs": 0}, {"n_factors": 0}, {"memory": 2.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            OnlineNextItem(**wrong)
