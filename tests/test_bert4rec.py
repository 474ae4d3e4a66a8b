"""BERT4Rec: both sides of a gap, the mask behind the history, and nobody else's row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from m6rec_lite.data import Dataset, Histories, Interactions, leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import BERT4Rec, Bigram
from m6rec_lite.recommenders.sequential.sequences import MaskedBatches
from m6rec_lite.training import Callback, Checkpoints, Run

N_ITEMS = 30
MASK = N_ITEMS
SMALL = {"hidden_size": 16, "max_length": 12, "epochs": 4, "batch_size": 16, "lr": 5e-3}


def chain(n_users: int, seed: int = 0) -> pd.DataFrame:
    """Users that walk by the item *before* the last: a bigram cannot foresee it, a history can."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        walk = list(rng.choice(N_ITEMS, size=2, replace=False))
        while len(walk) < int(rng.integers(6, 12)):
            step = (walk[-2] * 7 + 3) % N_ITEMS
            walk.append(step if step not in walk else int(rng.integers(N_ITEMS)))
        rows += [(user, item, t) for t, item in enumerate(walk)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


@pytest.fixture(scope="module")
def train() -> Interactions:
    return Interactions.from_frame(chain(120), item_ids=np.arange(N_ITEMS))


def network(seed: int = 0, **settings: object) -> nn.Module:
    """A network with weights large enough for every part to matter."""
    torch.manual_seed(seed)
    built = BERT4Rec(**SMALL | settings)._build(N_ITEMS).double()
    for weight in built.parameters():
        nn.init.normal_(weight, std=0.3)
    return built.eval()


class Dense(nn.Module):
    """The same model of torch's own layers, rows padded on the left, all scores at once."""

    def __init__(self, ours: nn.Module) -> None:
        super().__init__()
        self.ours = ours
        config = ours.transformer.config
        self.layers = nn.ModuleList()
        for block in ours.transformer.blocks:
            layer = nn.TransformerEncoderLayer(
                config.hidden_size, config.n_heads, 4 * config.hidden_size, 0.0, "gelu",
                batch_first=True, norm_first=True, dtype=torch.float64,
            )  # fmt: skip
            with torch.no_grad():
                layer.self_attn.in_proj_weight.copy_(block.attention.qkv.weight)
                layer.self_attn.in_proj_bias.copy_(block.attention.qkv.bias)
                layer.self_attn.out_proj.load_state_dict(block.attention.out.state_dict())
                layer.linear1.load_state_dict(block.expand.state_dict())
                layer.linear2.load_state_dict(block.shrink.state_dict())
                layer.norm1.load_state_dict(block.norm_attention.state_dict())
                layer.norm2.load_state_dict(block.norm_ffn.state_dict())
            self.layers.append(layer)

    def scores(self, rows: list[list[int]]) -> torch.Tensor:
        """``(rows, time, n_items)``; time is the longest row's, and pads stand on the left."""
        time = max(map(len, rows))
        items = torch.tensor([[-1] * (time - len(row)) + row for row in rows])
        pad = items < 0
        x = torch.cat([self.ours.items.weight, self.ours.mask[None]])[items.clamp(min=0)]
        x = x + self.ours.positions.weight[:time].flip(0)  # the last place is position 0
        x = self.ours.norm(x)
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=pad)
        x = self.ours.transformer.norm(x)
        x = self.ours.turn_norm(F.gelu(self.ours.turn(x)))
        return x @ self.ours.items.weight.t() + self.ours.bias


@pytest.mark.parametrize("heads", [1, 4])
def test_packed_training_equals_the_dense_padded_model(train: Interactions, heads: int) -> None:
    model = BERT4Rec(**SMALL, n_heads=heads, dropout=0.0)
    ours = network(n_heads=heads)
    batch = model._batches(train.histories(), None).epoch(0, 0)[0]
    lengths = batch["lengths"].tolist()
    rows = [row.tolist() for row in batch["items"].split(lengths)]
    scores = Dense(ours).scores(rows)
    packed = torch.cat([scores[i, -len(row) :] for i, row in enumerate(rows)])
    assert (batch["items"] == MASK).sum() == len(batch["targets"])
    plain = F.cross_entropy(packed[batch["items"] == MASK], batch["targets"])
    mine = model._loss(ours, batch)
    torch.testing.assert_close(mine, plain, rtol=1e-10, atol=1e-12)
    shared = [ours.items.weight, ours.mask, ours.positions.weight, ours.bias]
    for a, b in zip(
        torch.autograd.grad(mine, shared), torch.autograd.grad(plain, shared), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11)


def test_asking_puts_a_mask_behind_the_latest_items(train: Interactions) -> None:
    """Of 12 places one is the mask's: 11 items are read, and older ones change nothing."""
    model = BERT4Rec(**SMALL | {"epochs": 1}).fit(train, progress=False)
    lists = [list(range(20)), [4, 9, 2], [7]]
    scores = model.score(Histories.from_lists(lists, train.item_ids))
    dense = Dense(model._network.double()).scores([[*row[-11:], MASK] for row in lists])
    np.testing.assert_allclose(scores, dense[:, -1].detach(), rtol=1e-4, atol=1e-5)


def test_a_later_item_moves_an_earlier_state_and_an_earlier_one_a_later() -> None:
    net = network()
    row = torch.arange(10)
    alone = Packing(torch.tensor([10]))
    for changed_at in (0, 9):
        changed = row.clone()
        changed[changed_at] += 15
        moved = (net(row, alone) - net(changed, alone)).abs().amax(1)
        assert moved.min() > 1e-3


def test_rows_of_a_batch_do_not_see_each_other() -> None:
    """Nor does a pad: rows of 5, 4 and 3 share a group and are padded within it."""
    net = network()
    items = torch.arange(12)
    lengths = torch.tensor([5, 4, 3])
    together = net(items, Packing(lengths, waste=0.5))
    alone = [net(row, Packing(torch.tensor([len(row)]))) for row in items.split([5, 4, 3])]
    torch.testing.assert_close(together, torch.cat(alone))
    other = net(torch.cat([items[:5] + 15, items[5:]]), Packing(lengths, waste=0.5))
    torch.testing.assert_close(together[5:], other[5:], rtol=0, atol=1e-12)
    assert (together[:5] - other[:5]).abs().max() > 1e-3


def test_the_mask_is_never_recommended_however_it_is_drawn_to(train: Interactions) -> None:
    """It has no score to win by: not even when its vector is what every state looks like."""
    model = BERT4Rec(**SMALL | {"epochs": 1}).fit(train, progress=False)
    with torch.no_grad():
        model._network.mask.mul_(100)
    asked = Histories.from_lists([[3, 10, 17], [5]], train.item_ids)
    assert model.score(asked).shape == (2, N_ITEMS)
    best = model.recommend(asked, k=1000, exclude_seen=False)
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


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "ce"},
        {"loss": "sampled", "negatives": 12, "shared_negatives": False},
        {"loss": "gbce", "negatives": 12, "shared_negatives": False},
    ],
    ids=lambda settings: settings["loss"],
)
def test_every_loss_learns_what_a_bigram_cannot(settings: dict) -> None:
    """The step depends on the item before the last, which a bigram never sees."""
    data = Dataset(name="chain", interactions=chain(300), items=None, users=None, card={})
    split = leave_one_out(data)
    shape = {"hidden_size": 32, "n_layers": 1, "batch_size": 32, "epochs": 25, "lr": 0.01}
    model = BERT4Rec(**SMALL | shape | settings, dropout=0.1, mask_share=0.3, last_share=0.5)
    found = evaluate(model.fit(split.train, progress=False), split, bootstrap=0, progress=False)
    plain = evaluate(Bigram().fit(split.train), split, bootstrap=0, progress=False)
    assert found["hr@5"] > 1.5 * plain["hr@5"]


class Cut(Exception):
    """Somebody pulled the plug."""


class CutAt(Callback):
    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, run: Run) -> None:
        if run.step == self.at:
            raise Cut


def test_a_fit_cut_off_and_gone_on_with_equals_one_never_cut(
    train: Interactions, tmp_path: Path
) -> None:
    """The masks of an epoch come from the seed and its number, wherever the run goes on."""

    def make() -> BERT4Rec:
        return BERT4Rec(**SMALL, window="random")

    whole = make().fit(train, progress=False)
    asked = train.histories()
    for cut in (3, 20):  # in the first epoch and in a later one
        saves = Checkpoints(tmp_path / str(cut), steps=1)
        with pytest.raises(Cut):
            make().fit(train, checkpoint=saves, callbacks=[CutAt(cut)], progress=False)
        resumed = make().fit(train, checkpoint=tmp_path / str(cut), progress=False)
        np.testing.assert_array_equal(resumed.score(asked), whole.score(asked))


def test_validation_is_what_evaluate_measures() -> None:
    data = Dataset(name="chain", interactions=chain(100), items=None, users=None, card={})
    split = leave_one_out(data)
    model = BERT4Rec(**SMALL).fit(split.train, validation=split.validation, progress=False)
    report = evaluate(model, split, on="validation", bootstrap=0, progress=False)
    assert report["ndcg@10"] == pytest.approx(max(model.history["ndcg@10"]), abs=1e-6)


def test_batches_hold_what_the_model_reads(train: Interactions) -> None:
    batches = BERT4Rec(**SMALL | {"max_length": 5})._batches(train.histories(), None)
    assert isinstance(batches, MaskedBatches)
    assert max(int(batch["lengths"].max()) for batch in batches.epoch(0, 0)) == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 10, "n_heads": 3}, r"cannot be split among 3 heads"),
        ({"max_length": 1}, "max_length must be at least 2, an item and the mask"),
        ({"mask_share": 0.0}, "mask_share must be above 0 and below 1, got 0.0"),
        ({"mask_share": 1.0}, "mask_share must be above 0 and below 1, got 1.0"),
        ({"last_share": 1.5}, "last_share must be >= 0 and <= 1"),
        ({"loss": "mlm"}, "loss must be one of"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BERT4Rec(**settings)
