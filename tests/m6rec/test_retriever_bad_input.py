"""What the retriever does with tables, histories and rows that hold too little or too much."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.data import DataError, Histories, Interactions
from m6rec_lite.m6rec import M6RecRetriever
from tests.contracts import test_recommenders as contract

SMALL = {"size": "1x32", "max_length": 8, "epochs": 1, "vocab_size": 300, "batch_size": 8}
N_ITEMS = 12


def everybody_had_everything(n_users: int = 10) -> Interactions:
    """Rows of users who have each met the whole catalogue, in an order of their own."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(N_ITEMS) for _ in range(n_users)])
    frame = pd.DataFrame({"user_id": np.repeat(np.arange(n_users), N_ITEMS), "item_id": items})
    return Interactions.from_frame(frame.assign(timestamp=np.arange(len(frame))))


@pytest.mark.parametrize("item_input", ["text", "both"])
@pytest.mark.parametrize("columns", [["item_id"], ["item_id", "price_paid"]])
def test_items_without_text_are_refused(item_input: str, columns: list[str]) -> None:
    table = contract.ITEMS[["item_id"]].assign(price_paid=1.0)[columns]
    model = M6RecRetriever(**SMALL, item_input=item_input)
    with pytest.raises(DataError, match="text"):
        model.fit(contract.TRAIN, items=table, progress=False)
    ids = M6RecRetriever(**SMALL, item_input="ids").fit(contract.TRAIN, progress=False)
    assert ids.is_fitted  # what the message may point to


@pytest.mark.parametrize("long_memory", [False, True])
def test_a_history_longer_than_the_context_is_cut_to_its_latest_events(long_memory: bool) -> None:
    model = M6RecRetriever(**SMALL, item_input="ids", long_memory=long_memory)
    model.fit(contract.TRAIN, progress=False)
    if long_memory:  # the map starts at 0
        torch.nn.init.normal_(model._network.memory.proj.weight)
    ids = model.item_ids
    rows = [ids[np.arange(n)[::-1] % len(ids)].tolist() for n in (9, 40, 400)]
    scores = model.score(Histories.from_lists(rows, ids))  # of the same nine latest events
    assert np.isfinite(scores).all()
    is_equal = np.allclose(scores[0], scores[1:], rtol=1e-4, atol=1e-4)
    assert is_equal == (not long_memory)


@pytest.mark.parametrize("mask_history", [True, False])
def test_people_who_had_every_item_train_without_harm(mask_history: bool) -> None:
    """At a person's last event the history excludes every item but the target."""
    train = everybody_had_everything()
    model = M6RecRetriever(
        **SMALL | {"max_length": 50}, item_input="ids", mask_history=mask_history
    )
    model.fit(train, progress=False)
    for weight in model._network.parameters():
        assert torch.isfinite(weight).all()
    assert np.isfinite(model.history["loss"]).all()


def test_to_a_person_who_had_every_item_nothing_is_recommended() -> None:
    train = everybody_had_everything()
    model = M6RecRetriever(**SMALL, item_input="ids").fit(train, progress=False)
    histories = train.histories()
    assert len(model.recommend(histories, k=5)) == 0
    again = model.recommend(histories, k=5, filter_viewed=False)
    assert again.groupby("user_id").size().tolist() == [5] * len(histories)
