"""``mask_history``: the items that a network has read are left out of the training softmax."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from m6rec_lite.data import Interactions
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import BERT4Rec, GRU4Rec, SASRec
from m6rec_lite.recommenders.sequential.next_item import NextItemRecommender
from m6rec_lite.recommenders.sequential.sequences import Batch
from tests.contracts.sequential import N_ITEMS, SMALL, chain

MODELS = {
    "SASRec": SASRec(**SMALL),
    "GRU4Rec": GRU4Rec(**SMALL),
    "GRU4Rec in lanes": GRU4Rec(**SMALL | {"batch_size": 5}, steps=4),
    "BERT4Rec": BERT4Rec(**SMALL),
}


@pytest.fixture(scope="module")
def train() -> Interactions:
    return Interactions.from_frame(chain(), item_ids=np.arange(N_ITEMS))


def items_read(batch: Batch) -> list[set[int]]:
    """Return for each target of a batch the items that precede it there, token by token."""
    if "starts" in batch:  # lanes
        read = []
        for lane, starts in zip(batch["items"].tolist(), batch["starts"].tolist(), strict=True):
            history: set[int] = set()
            for item, start in zip(lane, starts, strict=True):
                history = {item} if start else history | {item}
                read.append(history)
        return [read[i] for i in batch["target_indices"].tolist()]
    rows = batch["items"].split(batch["lengths"].tolist())
    if "target_indices" in batch:  # masks, which may have items on both sides
        read = [set(row.tolist()) - {N_ITEMS} for row in rows for _ in row]
        return [read[i] for i in batch["target_indices"].tolist()]
    return [set(row[: i + 1].tolist()) for row in rows for i in range(len(row))]


@pytest.mark.parametrize("name", MODELS)
def test_the_loss_leaves_out_what_the_network_has_read(name: str, train: Interactions) -> None:
    model = MODELS[name]
    model.popularity_ = np.ones(N_ITEMS)
    torch.manual_seed(0)
    for batch in list(model._batches(train.histories()).epoch(0, 0))[:3]:
        network = model._build(N_ITEMS).eval()
        states = model._states(network, batch)
        scores = states @ network.items.weight.t()
        if network.output_bias is not None:
            scores = scores + network.output_bias
        out = torch.zeros_like(scores, dtype=torch.bool)
        for token, (items, target) in enumerate(
            zip(items_read(batch), batch["targets"].tolist(), strict=True)
        ):
            out[token, sorted(items - {target})] = True
        assert out.any()
        expected = F.cross_entropy(scores.masked_fill(out, -torch.inf), batch["targets"])
        network = network.eval()
        if name == "GRU4Rec in lanes":
            network.carried.zero_()
        torch.testing.assert_close(model._loss(network, batch), expected)


def test_the_retriever_leaves_them_out_of_the_items_of_the_batch(train: Interactions) -> None:
    model = M6RecRetriever(item_input="ids", size="1x32", max_length=6, batch_size=8, epochs=1)
    network = model.fit(train, progress=False)._network
    batch = model._batches(train.histories()).epoch(0, 0)[0]
    vectors, retrieval = network.catalogue(), network.retrieval
    people = retrieval.people(network(vectors, batch, Packing(batch["lengths"])))
    scores = people @ retrieval.items(vectors).t() / retrieval.tau
    counts = torch.bincount(batch["targets"], minlength=N_ITEMS)
    scores = scores + counts.log() - retrieval.log_share - np.log(len(people))
    for token, (items, target) in enumerate(
        zip(items_read(batch), batch["targets"].tolist(), strict=True)
    ):
        scores[token, sorted(items - {target})] = -torch.inf
    expected = F.cross_entropy(scores, batch["targets"])
    torch.testing.assert_close(network.loss(batch), expected, rtol=1e-4, atol=1e-5)
    assert not torch.isclose(network.loss(batch, mask_history=False), expected)


def test_rows_that_repeat_an_item_are_reported() -> None:
    rows = pd.DataFrame({"user_id": [1] * 4 + [2] * 4, "item_id": [1, 2, 1, 3, 1, 2, 3, 4]})
    rows["timestamp"], rows["event"] = range(8), "click"
    train = Interactions.from_frame(rows)
    with pytest.warns(UserWarning, match=r"1 of 8 training rows.*mask_history=False"):
        SASRec(**SMALL).fit(train, progress=False)
    for model in (SASRec(**SMALL, mask_history=False), SASRec(**SMALL, loss="bce")):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            assert isinstance(model.fit(train, progress=False), NextItemRecommender)
