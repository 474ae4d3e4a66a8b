"""SASRec: against a dense padded model of plain torch, what it sees, how it stops and resumes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from m6rec_lite.data import Dataset, Histories, Interactions, leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import Bigram, SASRec
from m6rec_lite.recommenders.sequential.sequences import NextItemBatches
from m6rec_lite.training import Callback, CheckpointError, Checkpoints, Run

N_ITEMS = 40
SMALL = {"hidden_size": 16, "max_length": 12, "epochs": 4, "batch_size": 16, "lr": 5e-3}


def chain(n_users: int = 120, seed: int = 0) -> pd.DataFrame:
    """Users that walk by the item *before* the last: a bigram cannot foresee it, a history can."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(n_users):
        walk = list(rng.choice(N_ITEMS, size=2, replace=False))
        while len(walk) < int(rng.integers(6, 14)):
            step = (walk[-2] * 7 + 3) % N_ITEMS
            walk.append(step if step not in walk else int(rng.integers(N_ITEMS)))
        rows += [(user, item, t) for t, item in enumerate(walk)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


@pytest.fixture(scope="module")
def train() -> Interactions:
    return Interactions.from_frame(chain(), item_ids=np.arange(N_ITEMS))


def network(model: SASRec, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Module:
    """A network with weights large enough for every part to matter."""
    torch.manual_seed(seed)
    built = model._build(N_ITEMS).to(dtype)
    for weight in built.parameters():
        nn.init.normal_(weight, std=0.3)
    return built.eval()


class Dense(nn.Module):
    """SASRec as it is usually written: rows padded on the left, all scores at once."""

    def __init__(self, ours: nn.Module, max_length: int) -> None:
        super().__init__()
        self.ours = ours
        config = ours.transformer.config
        self.layers = nn.ModuleList()
        for block in ours.transformer.blocks:
            layer = nn.TransformerEncoderLayer(
                config.hidden_size, config.n_heads, config.ffn_size, 0.0, "relu",
                batch_first=True, norm_first=True, dtype=torch.float64,
            )  # fmt: skip
            with torch.no_grad():
                layer.self_attn.in_proj_weight.copy_(block.attention.qkv.weight)
                layer.self_attn.in_proj_bias.copy_(block.attention.qkv.bias)
                layer.self_attn.out_proj.load_state_dict(block.attention.out.state_dict())
                layer.linear1.load_state_dict(block.up_proj.state_dict())
                layer.linear2.load_state_dict(block.down_proj.state_dict())
                layer.norm1.load_state_dict(block.norm_attention.state_dict())
                layer.norm2.load_state_dict(block.norm_ffn.state_dict())
            self.layers.append(layer)
        self.max_length = max_length

    def loss(self, items: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """``(rows, max_length)`` padded on the left with -1."""
        time, real = self.max_length, items >= 0
        x = self.ours.items(items.clamp(min=0)) * self.ours.items.embedding_dim**0.5
        x = x + self.ours.positions.weight.flip(0)[-time:]  # the last place is position 0
        ahead = torch.ones(time, time, dtype=torch.bool).triu(1)
        blocked = ahead | ~real[:, None, :]
        blocked[:, torch.arange(time), torch.arange(time)] = False  # pads see themselves: no NaN
        for layer in self.layers:
            x = layer(x, src_mask=blocked.repeat_interleave(layer.self_attn.num_heads, 0))
        scores = self.ours.transformer.norm(x) @ self.ours.items.weight.t()
        return F.cross_entropy(scores[real], targets[real])


@pytest.mark.parametrize("heads", [1, 2])
def test_packed_training_equals_the_dense_padded_model(train: Interactions, heads: int) -> None:
    model = SASRec(**SMALL, n_heads=heads, dropout=0.0)
    ours = network(model)
    dense = Dense(ours, 12)
    batch = NextItemBatches(train.histories(), batch_size=16, max_length=12).epoch(0, 0)[0]
    rows = batch["lengths"].tolist()
    items, targets = (torch.full((len(rows), 12), -1) for _ in range(2))
    for i, (row, wanted) in enumerate(
        zip(batch["items"].split(rows), batch["targets"].split(rows), strict=True)
    ):
        items[i, -len(row) :], targets[i, -len(row) :] = row, wanted
    mine, plain = model._loss(ours, batch), dense.loss(items, targets)
    torch.testing.assert_close(mine, plain, rtol=1e-10, atol=1e-12)
    shared = [ours.items.weight, ours.positions.weight]
    for a, b in zip(
        torch.autograd.grad(mine, shared), torch.autograd.grad(plain, shared), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11)


def test_the_state_after_an_item_knows_nothing_of_later_ones() -> None:
    """At fixed positions: the row is as long, and only its later items change."""
    net = network(SASRec(**SMALL))
    row = torch.arange(10)
    changed = row.clone()
    changed[6:] += 11
    before, after = (net(r, Packing(torch.tensor([10]))) for r in (row, changed))
    torch.testing.assert_close(before[:6], after[:6], rtol=0, atol=1e-12)
    assert (before[6:] - after[6:]).abs().amax(1).min() > 1e-3


def test_rows_of_a_batch_do_not_see_each_other() -> None:
    net = network(SASRec(**SMALL))
    items = torch.arange(12)
    out = net(items, Packing(torch.tensor([5, 4, 3])))
    items = torch.cat([items[:5] + 20, items[5:]])
    other = net(items, Packing(torch.tensor([5, 4, 3])))
    torch.testing.assert_close(out[5:], other[5:], rtol=0, atol=1e-12)
    assert (out[:5] - other[:5]).abs().max() > 1e-3


def test_positions_count_from_the_end_so_that_the_last_is_trained(train: Interactions) -> None:
    """Each row, short or long, asks from position 0; the first places are used by long ones."""
    model = SASRec(**SMALL, dropout=0.0)
    net = network(model)
    batch = NextItemBatches(train.histories(), batch_size=200, max_length=12).epoch(0, 0)[0]
    (g,) = torch.autograd.grad(model._loss(net, batch), net.positions.weight)
    longest = int(batch["lengths"][0])
    assert (g[:longest].abs().sum(1) > 0).all()
    assert (g[longest:] == 0).all()


def test_only_the_latest_items_are_read(train: Interactions) -> None:
    model = SASRec(**SMALL).fit(train, progress=False)
    row = list(range(30))
    long, cut, reordered = model.score(
        Histories.from_lists([row, row[-12:], row[:18][::-1] + row[18:]], train.item_ids)
    )
    np.testing.assert_allclose(long, cut, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(long, reordered, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": "ce"},
        {"loss": "sampled", "negatives": 16, "popularity_power": 0.5},
        {"loss": "gbce", "negatives": 16, "shared_negatives": False},
        {"loss": "bce", "negatives": 1, "shared_negatives": False},
    ],
    ids=lambda settings: settings["loss"],
)
def test_every_loss_learns_what_a_bigram_cannot(settings: dict) -> None:
    """The step depends on the item before the last, which a bigram never sees."""
    frame = chain(400)
    dataset = Dataset(name="chain", interactions=frame, items=None, users=None, card={})
    split = leave_one_out(dataset)
    model = SASRec(
        **SMALL | {"epochs": 25, "lr": 0.01, "dropout": 0.1, "batch_size": 64} | settings
    )
    found = evaluate(model.fit(split.train, progress=False), split, bootstrap=0, progress=False)
    plain = evaluate(Bigram().fit(split.train), split, bootstrap=0, progress=False)
    assert found["hr@5"] > 1.5 * plain["hr@5"]


def test_validation_is_what_evaluate_measures_and_the_best_epoch_is_kept() -> None:
    dataset = Dataset(name="chain", interactions=chain(), items=None, users=None, card={})
    split = leave_one_out(dataset)
    model = SASRec(**SMALL | {"epochs": 40, "lr": 0.03}, patience=3)
    model.fit(split.train, validation=split.validation, progress=False)
    curve = model.history["ndcg@10"]
    assert len(curve) < 40
    assert "ndcg@10 has not got better" in model.history.stopped
    report = evaluate(model, split, on="validation", bootstrap=0, progress=False)
    assert report["ndcg@10"] == pytest.approx(max(curve), abs=1e-6)
    assert max(curve) > curve[-1]  # so the last epoch's weights would have shown


class Cut(Exception):
    """Somebody pulled the plug."""


class CutAt(Callback):
    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, run: Run) -> None:
        if run.step == self.at:
            raise Cut


@pytest.mark.parametrize("loss", ["ce", "sampled"])
def test_a_fit_cut_off_and_gone_on_with_equals_one_never_cut(
    train: Interactions, tmp_path, loss: str
) -> None:
    def make() -> SASRec:
        return SASRec(**SMALL, loss=loss, negatives=8)

    whole = make().fit(train, progress=False)
    asked = train.histories()
    for cut in (3, 20):  # in the first epoch and in a later one
        saves = Checkpoints(tmp_path / str(cut), steps=1)
        with pytest.raises(Cut):
            make().fit(train, checkpoint=saves, callbacks=[CutAt(cut)], progress=False)
        resumed = make().fit(train, checkpoint=tmp_path / str(cut), progress=False)
        np.testing.assert_array_equal(resumed.score(asked), whole.score(asked))
        assert resumed.history["loss"] == whole.history["loss"]


def test_a_checkpoint_of_other_settings_is_refused_by_name(train: Interactions, tmp_path) -> None:
    SASRec(**SMALL).fit(train, checkpoint=tmp_path, progress=False)
    other = SASRec(**SMALL | {"lr": 0.01}, dropout=0.1)
    with pytest.raises(CheckpointError, match=r"(?s)dropout.*lr|lr.*dropout"):
        other.fit(train, checkpoint=tmp_path, progress=False)
    assert not other.is_fitted


def test_a_fit_leaves_the_callers_random_numbers_alone(train: Interactions) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    SASRec(**SMALL | {"epochs": 1}).fit(train, progress=False)
    assert torch.equal(torch.rand(3), wanted)


def test_users_with_one_item_teach_nothing_and_harm_nothing() -> None:
    frame = chain(60)
    alone = pd.DataFrame({"user_id": 900 + np.arange(50), "item_id": 5, "timestamp": 0})
    few = Interactions.from_frame(frame, item_ids=np.arange(N_ITEMS))
    more = Interactions.from_frame(pd.concat([frame, alone]), item_ids=np.arange(N_ITEMS))
    asked = few.histories()
    scores = [SASRec(**SMALL).fit(rows, progress=False).score(asked) for rows in (few, more)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden_size": 10, "n_heads": 3}, r"cannot be split among 3 heads"),
        ({"loss": "mse"}, "loss must be one of ce, sampled"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"max_length": 0}, "max_length must be at least 1"),
        ({"lr": 0}, "lr must be > 0"),
        ({"window": "first"}, "window must be"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"gbce_t": 2.0}, "gbce_t must be >= 0 and <= 1"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SASRec(**settings)
