"""BERT4Rec: the mask, and gaps filled from both sides; the rest is in the sequential contract."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import BERT4Rec
from m6rec_lite.recommenders.sequential.sequences import MaskedBatches
from tests.contracts.sequential import N_ITEMS, SMALL, chain


@pytest.fixture(scope="module")
def train() -> Interactions:
    return Interactions.from_frame(chain(), item_ids=np.arange(N_ITEMS))


def test_the_mask_is_never_recommended_however_it_is_drawn_to(train: Interactions) -> None:
    """It has no score to win by: not even when its vector is what every state looks like."""
    model = BERT4Rec(**SMALL | {"epochs": 1}).fit(train, progress=False)
    with torch.no_grad():
        model._network.mask.mul_(100)
    queries = Histories.from_lists([[3, 10, 17], [5]], train.item_ids)
    assert model.score(queries).shape == (2, N_ITEMS)
    best = model.recommend(queries, k=1000, filter_viewed=False)
    assert set(best["item_id"]) == set(range(N_ITEMS))


def test_an_item_fills_a_gap_by_what_stands_on_both_sides() -> None:
    """Rows are a, m, b, and every pair of a and b has an m of its own: one side leaves five."""
    pairs = [(a, b) for a in range(5) for b in range(5)]
    rows = [
        (user, item, t)
        for user, (a, b) in enumerate(pairs * 12)
        for t, item in enumerate([a, 10 + 5 * a + b, 5 + b])
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    data = Interactions.from_frame(frame, item_ids=np.arange(35))
    settings = SMALL | {"hidden_size": 32, "batch_size": 32, "epochs": 40, "lr": 0.01}
    net = BERT4Rec(**settings, dropout=0.0, mask_share=0.3, last_share=0.0)
    net = net.fit(data, progress=False)._network
    items = torch.tensor([[a, 35, 5 + b] for a, b in pairs]).flatten()
    states = net.head(net(items, Packing(torch.full((25,), 3)))[1::3])
    filled = (states @ net.items.weight.t() + net.bias).argmax(1).tolist()
    assert filled == [10 + 5 * a + b for a, b in pairs]


def test_batches_hold_what_the_model_reads(train: Interactions) -> None:
    batches = BERT4Rec(**SMALL | {"max_length": 5})._batches(train.histories())
    assert isinstance(batches, MaskedBatches)
    assert max(int(batch["lengths"].max()) for batch in batches.epoch(0, 0)) == 5
