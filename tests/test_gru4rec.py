"""GRU4Rec: both runs of its GRU, session-parallel batches, and every loss."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from m6rec_lite.data import Histories, Interactions
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import GRU4Rec
from m6rec_lite.recommenders.sequential.sequences import NextItemBatches
from m6rec_lite.recommenders.sequential.session_parallel import ParallelBatches
from m6rec_lite.training import Callback, Checkpoints, Run

N_ITEMS = 30
SMALL = {"hidden_size": 16, "max_length": 12, "epochs": 4, "batch_size": 16, "lr": 0.01}


@pytest.fixture(scope="module")
def train() -> Interactions:
    """Users that walk round: up by 7 if they began even, by 11 if odd."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(150):
        item = int(rng.integers(N_ITEMS))
        step = 7 if item % 2 == 0 else 11
        for t in range(int(rng.integers(3, 13))):
            rows.append((user, (item + step * t) % N_ITEMS, t))
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    return Interactions.from_frame(frame, item_ids=np.arange(N_ITEMS))


def share_right(model: GRU4Rec, n: int = 6) -> float:
    """How often the next item of a walk ranks first, for walks of every beginning."""
    walks = [
        [(first + (7 if first % 2 == 0 else 11) * t) % N_ITEMS for t in range(n + 1)]
        for first in range(N_ITEMS)
    ]
    scores = model.score(Histories.from_lists([walk[:-1] for walk in walks], np.arange(N_ITEMS)))
    return float(np.mean(scores.argmax(axis=1) == [walk[-1] for walk in walks]))


@pytest.mark.parametrize("layers", [1, 2])
def test_torchs_gru_and_ours_train_alike(train: Interactions, layers: int) -> None:
    """Without dropout, whose draws fall elsewhere in torch's, they end in the same weights."""
    asked = train.histories()
    scores = [
        GRU4Rec(**SMALL, n_layers=layers, dropout=0.0, fused=fused)
        .fit(train, progress=False)
        .score(asked)
        for fused in (True, False)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-3, atol=2e-3)


def test_packed_rows_equal_rows_alone() -> None:
    torch.manual_seed(0)
    net = GRU4Rec(hidden_size=8, state_size=5, n_layers=2)._build(N_ITEMS).double().eval()
    items, lengths = torch.randint(N_ITEMS, (11,)), [5, 3, 2, 1]
    together = net(items, Packing(torch.tensor(lengths)))
    alone = [net(row, Packing(torch.tensor([len(row)]))) for row in items.split(lengths)]
    torch.testing.assert_close(together, torch.cat(alone))
    assert together.shape == (11, 8)


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
        asked = set(batch["asked"].tolist())
        for place in range(28):
            lane, t = divmod(place, 4)
            if batch["starts"][lane, t]:
                seen[lane] = []
            if place in asked:
                seen[lane].append(int(batch["items"][lane, t]))
                torch.testing.assert_close(states[place], whole[tuple(seen[lane])])
                n += 1
    assert n == (histories.lengths - 1).sum()


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "ce"},
        {"loss": "ce", "steps": 5},
        {"loss": "sampled", "popularity_power": 0.75},
        {"loss": "bpr-max", "popularity_power": 0.5},
        {"loss": "top1-max", "steps": 5},
        {"loss": "bpr-max", "shared_negatives": False},
    ],
    ids=lambda settings: "-".join(map(str, settings.values())),
)
def test_every_loss_learns_walks_that_their_beginning_decides(
    train: Interactions, settings: dict
) -> None:
    model = GRU4Rec(
        **SMALL | {"epochs": 30, "hidden_size": 32}, negatives=12, dropout=0.0, **settings
    )
    assert share_right(model.fit(train, progress=False)) >= 0.6


def test_losses_match_between_the_two_kinds_of_batches(train: Interactions) -> None:
    """One epoch's mean loss of a fixed network is the same questions' mean, however batched."""
    model = GRU4Rec(**SMALL, dropout=0.0)
    torch.manual_seed(0)
    net = model._build(N_ITEMS).double()
    packed = NextItemBatches(train.histories(), batch_size=16, max_length=12).epoch(0, 0)
    sums = [
        (float(model._loss(net, b).detach()) * len(b["targets"]), len(b["targets"])) for b in packed
    ]
    parallel = GRU4Rec(**SMALL, steps=4, dropout=0.0)
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


class Cut(Exception):
    """Somebody pulled the plug."""


class CutAt(Callback):
    def step(self, run: Run) -> None:
        if run.step == 9:
            raise Cut


@pytest.mark.parametrize("steps", [None, 5])
def test_a_fit_cut_off_and_gone_on_with_equals_one_never_cut(
    train: Interactions, tmp_path, steps: int | None
) -> None:
    """Also with lanes: what one batch leaves to the next is in the checkpoint."""
    whole = GRU4Rec(**SMALL, steps=steps).fit(train, progress=False)
    saves = Checkpoints(tmp_path, steps=1)
    with pytest.raises(Cut):
        GRU4Rec(**SMALL, steps=steps).fit(
            train, checkpoint=saves, callbacks=[CutAt()], progress=False
        )
    resumed = GRU4Rec(**SMALL, steps=steps).fit(train, checkpoint=tmp_path, progress=False)
    asked = train.histories()
    np.testing.assert_array_equal(resumed.score(asked), whole.score(asked))


def test_bad_settings_are_refused() -> None:
    for settings, message in [
        ({"steps": 0}, "steps must be at least 1"),
        ({"n_layers": 0}, "n_layers must be at least 1"),
        ({"state_size": 0}, "state_size must be at least 1"),
        ({"loss": "hinge"}, "loss must be one of"),
    ]:
        with pytest.raises(ValueError, match=message):
            GRU4Rec(**settings)
