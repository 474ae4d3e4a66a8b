"""GRU4Rec: both runs of its GRU, and session-parallel batches; the rest is in the contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from m6rec_lite.data import Interactions
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import GRU4Rec
from m6rec_lite.recommenders.sequential.sequences import NextItemBatches
from m6rec_lite.recommenders.sequential.session_parallel import ParallelBatches
from tests.contracts.sequential import N_ITEMS, SMALL, chain


@pytest.fixture(scope="module")
def train() -> Interactions:
    return Interactions.from_frame(chain(), item_ids=np.arange(N_ITEMS))


@pytest.mark.parametrize("layers", [1, 2])
def test_torchs_gru_and_ours_train_alike(train: Interactions, layers: int) -> None:
    """Without dropout, whose draws fall elsewhere in torch's, they end in the same weights."""
    queries = train.histories()
    scores = [
        GRU4Rec(**SMALL, n_layers=layers, dropout=0.0, fused=fused)
        .fit(train, progress=False)
        .score(queries)
        for fused in (True, False)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=2e-3)


def test_session_parallel_batches_see_what_whole_histories_see(train: Interactions) -> None:
    """Read in pieces of 4 with the state carried on, each token has the state of its history."""
    model = GRU4Rec(**SMALL | {"batch_size": 7}, steps=4, dropout=0.0)
    torch.manual_seed(0)
    net = model._build(N_ITEMS).double().eval()
    for weight in net.parameters():
        nn.init.normal_(weight, std=0.5)
    whole: dict[tuple[int, ...], torch.Tensor] = {}
    histories = train.histories()
    for row in np.split(histories.items, histories.offsets[1:-1]):
        states = net(torch.from_numpy(row.astype(np.int64)), Packing(torch.tensor([len(row)])))
        whole |= {tuple(row[: i + 1].tolist()): states[i] for i in range(len(row))}
    seen: list[list[int]] = [[] for _ in range(7)]
    n = 0
    for batch in ParallelBatches(histories, lanes=7, steps=4).epoch(0, 0):
        states = net.carry_on(batch["items"], batch["starts"])
        queries = set(batch["target_indices"].tolist())
        for position in range(28):
            lane, t = divmod(position, 4)
            if batch["starts"][lane, t]:
                seen[lane] = []
            if position in queries:
                seen[lane].append(int(batch["items"][lane, t]))
                torch.testing.assert_close(states[position], whole[tuple(seen[lane])])
                n += 1
    assert n == (histories.lengths - 1).sum()


def test_losses_match_between_the_two_kinds_of_batches(train: Interactions) -> None:
    """One epoch's mean loss of a fixed network is the same questions' mean, however batched.

    Without the mask: parallel batches mask only the items of the same batch.
    """
    model = GRU4Rec(**SMALL, dropout=0.0, mask_history=False)
    torch.manual_seed(0)
    net = model._build(N_ITEMS).double()
    packed = NextItemBatches(train.histories(), batch_size=16, max_length=12).epoch(0, 0)
    sums = [
        (float(model._loss(net, b).detach()) * len(b["targets"]), len(b["targets"])) for b in packed
    ]
    parallel = GRU4Rec(**SMALL, steps=4, dropout=0.0, mask_history=False)
    other = parallel._build(N_ITEMS).double()
    other.load_state_dict(net.state_dict() | {"carried": other.carried})
    lanes = ParallelBatches(train.histories(), lanes=16, steps=4).epoch(0, 0)
    more = [
        (float(parallel._loss(other, b).detach()) * len(b["targets"]), len(b["targets"]))
        for b in lanes
    ]
    (total, n), (again, m) = (np.sum(part, axis=0) for part in (sums, more))
    assert n == m
    assert total == pytest.approx(again, rel=1e-9)
