"""Generative retrieval: exact scores, beams, and items without training rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.nn import Packing
from m6rec_lite.nn.transformer import TransformerConfig
from m6rec_lite.recommenders import GenerativeNetwork, GenerativeRetriever, resolve_collisions
from tests.contracts.sequential import N_ITEMS, chain

SMALL: dict[str, Any] = {"hidden_size": 16, "max_length": 12, "epochs": 2, "batch_size": 32}
SMALL |= {"levels": 2, "n_codes": 4, "patience": None}
TRAIN = Interactions.from_frame(chain(40), item_ids=np.arange(N_ITEMS))
ROWS = Histories.from_lists([[0, 1, 2], [5], [], [7, 3, 9, 4, 2, 8]], np.arange(N_ITEMS))


@pytest.fixture(scope="module")
def fitted() -> GenerativeRetriever:
    return GenerativeRetriever("random", **SMALL).fit(TRAIN, progress=False)


def network(codes: np.ndarray) -> GenerativeNetwork:
    """A network in float64 with weights large enough for every part to matter."""
    torch.manual_seed(0)
    built = GenerativeNetwork(codes, 12, TransformerConfig(hidden_size=8, ffn_size=8)).double()
    for weight in built.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return built.eval()


def some_codes(n: int = 25) -> np.ndarray:
    return resolve_collisions(np.random.default_rng(0).integers(0, 4, size=(n, 2)))


def one_by_one(net: GenerativeNetwork, codes: np.ndarray, states: torch.Tensor) -> np.ndarray:
    """Log-probabilities ``(n, n_items)``, item by item and code by code."""
    table = np.zeros((len(states), len(codes)))
    for row, state in enumerate(states):
        for item, path in enumerate(codes):
            for depth, code in enumerate(path):
                same = (codes[:, :depth] == path[:depth]).all(axis=1)
                options = sorted(set(codes[same, depth].tolist()))
                before = torch.from_numpy(path[None, :depth])
                logits = net.logits(state[None], before)[0, -1, options]
                table[row, item] += torch.log_softmax(logits, 0)[options.index(code)].item()
    return table


@pytest.fixture(scope="module")
def scored() -> tuple[GenerativeNetwork, np.ndarray, torch.Tensor, torch.Tensor]:
    codes = some_codes()
    net = network(codes)
    with torch.no_grad():
        states = net(torch.tensor([3, 1, 2, 7, 7]), Packing(torch.tensor([3, 2])))
        return net, codes, states, net.all_items(states)


@torch.no_grad()
def test_shared_prefixes_give_the_product_of_each_items_codes(scored: Any) -> None:
    net, codes, states, exact = scored
    np.testing.assert_allclose(exact, one_by_one(net, codes, states), atol=1e-10)


def test_probabilities_of_all_items_sum_to_one(scored: Any) -> None:
    _, _, _, exact = scored
    np.testing.assert_allclose(exact.exp().sum(dim=1), 1.0, atol=1e-10)
    assert exact.std() > 0.1


@torch.no_grad()
def test_a_wide_beam_is_exact_and_a_narrow_one_keeps_true_scores(scored: Any) -> None:
    net, codes, states, exact = scored
    items, found = net.beam_search(states, len(codes))
    best, order = exact.sort(dim=1, descending=True)
    torch.testing.assert_close(found, best)
    torch.testing.assert_close(items, order)
    items, found = net.beam_search(states, 3)
    assert items.shape == (len(states), 3)
    torch.testing.assert_close(found, exact.gather(1, items))
    assert (found.diff(dim=1) <= 0).all()


@torch.no_grad()
def test_one_beam_is_greedy_and_may_miss_the_best_item() -> None:
    """First code 0 has probability .6, spread over two items; code 1 has .4 and one item."""
    codes = np.array([[0, 0], [0, 1], [1, 0]])
    net = network(codes)
    first = torch.tensor([0.6, 0.4], dtype=torch.float64).log()
    net.logits = (
        lambda states, before: torch.stack(  # type: ignore[method-assign]
            [first, torch.zeros(2, dtype=torch.float64)][: before.shape[1] + 1]
        ).expand(len(states), -1, -1)
    )
    state = torch.zeros(1, 8, dtype=torch.float64)
    assert net.all_items(state).argmax().item() == 2
    assert net.beam_search(state, 1)[0].item() in (0, 1)
    assert net.beam_search(state, 2)[0][0, 0].item() == 2


def test_items_that_the_beam_misses_are_not_recommended(fitted: GenerativeRetriever) -> None:
    exact = fitted.score(ROWS)
    narrow = fitted.set_params(beams=4).score(ROWS)
    tables = fitted.recommend(ROWS, k=10).groupby("user_id").size()
    wide = fitted.set_params(beams=N_ITEMS).score(ROWS)
    fitted.set_params(beams=None)
    np.testing.assert_allclose(wide, exact, rtol=1e-4)
    full = ROWS.lengths > 0
    assert (np.isfinite(narrow[full]).sum(axis=1) == 4).all()
    assert (tables[full] <= 4).all()
    assert tables[2] == 10  # without a history: popularity


def test_a_loss_is_the_mean_negative_log_probability(scored: Any) -> None:
    net, _, _, exact = scored
    packing = Packing(torch.tensor([3, 2]))
    targets = torch.tensor([4, 0, 9, 11, 24])
    loss = net.loss(torch.tensor([3, 1, 2, 7, 7]), targets, packing)
    expected = -exact.gather(1, targets[:, None]).mean()
    torch.testing.assert_close(loss, expected)


def test_codes_of_unseen_items_are_no_negatives() -> None:
    """Masked, the loss is that of a tree without the unseen items."""
    codes = some_codes()
    seen = np.arange(25) % 3 > 0
    net = network(codes)
    items, targets = torch.tensor([1, 2, 4]), torch.tensor([2, 4, 5])
    packing = Packing(torch.tensor([3]))
    before = net.loss(items, targets, packing)
    net.leave_out(~seen)
    masked = net.loss(items, targets, packing)
    expected = 0.0
    with torch.no_grad():
        states = net(items, packing)
        for state, target in zip(states, targets, strict=True):
            row = one_by_one(net, codes[seen], state[None])[0]
            expected -= row[np.flatnonzero(seen).tolist().index(target)] / len(targets)
    assert masked.item() == pytest.approx(expected, abs=1e-10)
    assert masked < before


def test_an_item_that_appears_later_can_be_adapted_to() -> None:
    known = TRAIN.select(TRAIN.items != 3)
    model = GenerativeRetriever("random", **SMALL).fit(known, progress=False)
    model.adapt(TRAIN, epochs=1, progress=False)
    assert np.isfinite(model.history["loss"]).all()
    assert np.isfinite(model.score(ROWS)).all()


def test_codes_follow_the_texts_or_the_events() -> None:
    titles = [f"{'boots hiking trail' if i % 2 else 'jazz trumpet live'} {i}" for i in range(30)]
    items = pd.DataFrame({"item_id": range(N_ITEMS), "title": titles})
    small = SMALL | {"epochs": 1, "levels": 1, "n_codes": 2}
    by_text = GenerativeRetriever("text", **small).fit(TRAIN, items=items, progress=False)
    assert len(set(zip(np.arange(N_ITEMS) % 2, by_text.codes[:, 0], strict=True))) == 2
    unseen = TRAIN.select(~np.isin(TRAIN.items, [3, 8]))
    by_events = GenerativeRetriever("events", **SMALL).fit(unseen, progress=False)
    np.testing.assert_array_equal(by_events.codes[3, :2], by_events.codes[8, :2])
    with pytest.raises(DataError, match="fit\\(train, items="):
        by_text.fit(TRAIN)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"ids_from": "title"}, "ids_from must be one of text, events, random, got 'title'"),
        ({"levels": 0}, "levels must be at least 1"),
        ({"n_codes": 0}, "n_codes must be at least 1"),
        ({"beams": 0}, "beams must be at least 1"),
        ({"hidden_size": 10, "n_heads": 3}, "cannot be split among 3 heads"),
    ],
)
def test_settings_out_of_range_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GenerativeRetriever(**setting)
