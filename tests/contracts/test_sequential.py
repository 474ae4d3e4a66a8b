"""What every sequential network keeps to: SASRec, BERT4Rec, GRU4Rec. A new one joins ``CASES``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from m6rec_lite.data import Dataset, Histories, Interactions, leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.nn.packing import Packing
from m6rec_lite.recommenders import BERT4Rec, Bigram, GRU4Rec, SASRec
from m6rec_lite.training import Callback, CheckpointError, Checkpoints, Run
from tests.contracts.sequential import (
    CASES,
    N_ITEMS,
    SMALL,
    Case,
    DenseBERT4Rec,
    DenseSASRec,
    chain,
    network,
    padded,
)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def dataset(n_users: int) -> Dataset:
    return Dataset(name="chain", interactions=chain(n_users), items=None, users=None, card={})


@pytest.fixture(scope="module")
def train() -> Interactions:
    return Interactions.from_frame(chain(), item_ids=np.arange(N_ITEMS))


def read_items(items: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """``(rows, time, N_ITEMS)``: whether the item is one that the place may read."""
    rows, time = items.shape
    read = torch.zeros(rows, time, N_ITEMS, dtype=torch.bool)
    for row, values in enumerate(items.tolist()):
        for t in range(time):
            visible = values[: t + 1] if causal else values
            read[row, t, [item for item in visible if 0 <= item < N_ITEMS]] = True
    return read


@pytest.mark.parametrize(
    ("model", "dense", "shared"),
    [
        (SASRec, DenseSASRec, ("items.weight", "positions.weight")),
        (BERT4Rec, DenseBERT4Rec, ("items.weight", "mask", "positions.weight", "bias")),
    ],
    ids=["SASRec", "BERT4Rec"],
)
@pytest.mark.parametrize(("heads", "mask_history"), [(1, True), (4, False)])
def test_packed_training_equals_the_dense_padded_model(
    train: Interactions,
    model: Any,
    dense: Any,
    shared: tuple[str, ...],
    heads: int,
    mask_history: bool,
) -> None:
    """The same loss and the same gradients as a model of torch's own layers."""
    made = model(**SMALL, n_heads=heads, dropout=0.0, mask_history=mask_history)
    ours = network(made)
    batch = made._batches(train.histories()).epoch(0, 0)[0]
    lengths = batch["lengths"].tolist()
    items = padded(batch["items"], lengths)
    packed = dense(ours).scores(items)[items >= 0]
    excluded = read_items(items, causal=model is SASRec)[items >= 0]
    if "target_indices" in batch:
        packed, excluded = packed[batch["target_indices"]], excluded[batch["target_indices"]]
    if mask_history:
        excluded[torch.arange(len(packed)), batch["targets"]] = False
        packed = packed.masked_fill(excluded, -torch.inf)
    values = made._loss(ours, batch), F.cross_entropy(packed, batch["targets"])
    torch.testing.assert_close(*values, rtol=1e-10, atol=1e-12)
    weights = [ours.get_parameter(name) for name in shared]
    for a, b in zip(*(torch.autograd.grad(value, weights) for value in values), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-11)


def test_scoring_a_bert4rec_appends_a_mask_to_the_latest_items(train: Interactions) -> None:
    model = BERT4Rec(**SMALL | {"epochs": 1}).fit(train, progress=False)
    rows = [list(range(20)), [4, 9, 2], [7]]
    scores = model.score(Histories.from_lists(rows, train.item_ids))
    queries = [torch.tensor([*row[-11:], N_ITEMS]) for row in rows]
    items = padded(torch.cat(queries), [len(row) for row in queries])
    dense = DenseBERT4Rec(model._network.double()).scores(items)[:, -1]
    np.testing.assert_allclose(scores, dense.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("changed_at", [0, 6, 9])
def test_a_changed_item_changes_the_states_that_may_read_it(case: Case, changed_at: int) -> None:
    """At fixed positions: later states only in a causal network, all states in others."""
    net = network(case.make(**SMALL))
    row, alone = torch.arange(10), Packing(torch.tensor([10]))
    changed = row.clone()
    changed[changed_at] += 15
    moved = (net(row, alone) - net(changed, alone)).abs().amax(1)
    first = changed_at if case.causal else 0
    assert (moved[:first] < 1e-12).all()
    assert (moved[first:] > case.least_change).all()


def test_rows_of_a_batch_are_independent(case: Case) -> None:
    """Rows of 5, 4 and 3 share a group, within which they are padded."""
    net = network(case.make(**SMALL))
    items, lengths = torch.arange(12), [5, 4, 3]
    packing = Packing(torch.tensor(lengths), waste=0.5)
    together = net(items, packing)
    alone = [net(row, Packing(torch.tensor([len(row)]))) for row in items.split(lengths)]
    torch.testing.assert_close(together, torch.cat(alone))
    other = net(torch.cat([items[:5] + 15, items[5:]]), packing)
    torch.testing.assert_close(together[5:], other[5:], rtol=0, atol=1e-12)
    assert (together[:5] - other[:5]).abs().max() > 1e-3


def test_only_the_latest_items_are_read(case: Case, train: Interactions) -> None:
    model = case.make(**SMALL).fit(train, progress=False)
    row, n = list(range(N_ITEMS)), case.reads
    rows = [row, row[-n:], row[:-n][::-1] + row[-n:], row[: -n - 1] + row[-n:][::-1]]
    long, cut, reordered, other = model.score(Histories.from_lists(rows, train.item_ids))
    np.testing.assert_allclose(long, cut, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(long, reordered, rtol=1e-5, atol=1e-6)
    assert np.abs(long - other).max() > 1e-3


@pytest.mark.parametrize(
    ("case", "settings"),
    [
        pytest.param(case, settings, id="-".join([name, *map(str, settings.values())]))
        for name, case in CASES.items()
        for settings in case.losses
    ],
)
def test_every_loss_learns_what_a_bigram_cannot(case: Case, settings: dict[str, Any]) -> None:
    split = leave_one_out(dataset(300))
    model = case.make(**SMALL | case.learns | settings).fit(split.train, progress=False)
    learned = evaluate(model, split, bootstrap=0, progress=False)
    plain = evaluate(Bigram().fit(split.train), split, bootstrap=0, progress=False)
    assert learned["hr@5"] > 2 * plain["hr@5"]


def test_validation_equals_evaluate_and_the_best_epoch_is_kept(case: Case) -> None:
    split = leave_one_out(dataset(120))
    model = case.make(**SMALL | {"epochs": 40, "lr": 0.03}, patience=3)
    model.fit(split.train, validation=split.validation, progress=False)
    curve = model.history["ndcg@10"]
    assert len(curve) < 40
    assert "ndcg@10 has not got better" in model.history.stopped
    report = evaluate(model, split, on="validation", bootstrap=0, progress=False)
    assert report["ndcg@10"] == pytest.approx(max(curve), abs=1e-6)
    assert max(curve) > curve[-1]  # so the last epoch's weights would give another figure


class Interrupted(Exception):
    """Raised in the middle of a fit."""


class InterruptAt(Callback):
    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, run: Run) -> None:
        if run.step == self.at:
            raise Interrupted


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (SASRec, {"loss": "ce"}),
        (SASRec, {"loss": "sampled", "negatives": 8}),
        (BERT4Rec, {"window": "random"}),
        (GRU4Rec, {}),
        (GRU4Rec, {"steps": 5}),
    ],
    ids=["SASRec", "SASRec sampled", "BERT4Rec", "GRU4Rec", "GRU4Rec parallel"],
)
def test_an_interrupted_fit_resumes_to_the_same_weights(
    train: Interactions, tmp_path: Path, make: Any, settings: dict[str, Any]
) -> None:
    """Windows, masks, negatives, and the state that lanes carry on, are part of what resumes."""
    whole = make(**SMALL, **settings).fit(train, progress=False)
    queries = train.histories()
    for step in (3, 20):  # in the first epoch and in a later one
        saves = Checkpoints(tmp_path / str(step), steps=1)
        with pytest.raises(Interrupted):
            make(**SMALL, **settings).fit(
                train, checkpoint=saves, callbacks=[InterruptAt(step)], progress=False
            )
        again = make(**SMALL, **settings)
        again.fit(train, checkpoint=tmp_path / str(step), progress=False)
        np.testing.assert_array_equal(again.score(queries), whole.score(queries))
        assert again.history["loss"] == whole.history["loss"]


def test_a_checkpoint_of_other_settings_is_refused_by_name(
    case: Case, train: Interactions, tmp_path: Path
) -> None:
    settings = SMALL | {"epochs": 1}
    case.make(**settings).fit(train, checkpoint=tmp_path, progress=False)
    other = case.make(**settings | {"lr": 0.01}, dropout=0.15)
    with pytest.raises(CheckpointError, match=r"(?s)dropout.*lr|lr.*dropout"):
        other.fit(train, checkpoint=tmp_path, progress=False)
    assert not other.is_fitted


def test_a_fit_leaves_the_callers_random_numbers_alone(case: Case, train: Interactions) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    case.make(**SMALL | {"epochs": 1}).fit(train, progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_users_with_one_item_change_nothing(case: Case, train: Interactions) -> None:
    single = pd.DataFrame({"user_id": 900 + np.arange(50), "item_id": 5, "timestamp": 0})
    more = Interactions.from_frame(pd.concat([chain(), single]), item_ids=np.arange(N_ITEMS))
    queries = train.histories()
    scores = [case.make(**SMALL).fit(rows, progress=False).score(queries) for rows in (train, more)]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (SASRec, {"hidden_size": 10, "n_heads": 3}, r"cannot be split among 3 heads"),
        (SASRec, {"loss": "mse"}, "loss must be one of ce, sampled"),
        (SASRec, {"dropout": 1.0}, "dropout must be"),
        (SASRec, {"max_length": 0}, "max_length must be at least 1"),
        (SASRec, {"lr": 0}, "lr must be > 0"),
        (SASRec, {"window": "first"}, "window must be"),
        (SASRec, {"patience": 0}, "patience must be at least 1"),
        (SASRec, {"gbce_t": 2.0}, "gbce_t must be >= 0 and <= 1"),
        (BERT4Rec, {"hidden_size": 10, "n_heads": 3}, r"cannot be split among 3 heads"),
        (BERT4Rec, {"max_length": 1}, "max_length must be at least 2, an item and the mask"),
        (BERT4Rec, {"mask_share": 0.0}, "mask_share must be above 0 and below 1, got 0.0"),
        (BERT4Rec, {"mask_share": 1.0}, "mask_share must be above 0 and below 1, got 1.0"),
        (BERT4Rec, {"last_share": 1.5}, "last_share must be >= 0 and <= 1"),
        (BERT4Rec, {"loss": "mlm"}, "loss must be one of"),
        (GRU4Rec, {"steps": 0}, "steps must be at least 1"),
        (GRU4Rec, {"n_layers": 0}, "n_layers must be at least 1"),
        (GRU4Rec, {"state_size": 0}, "state_size must be at least 1"),
        (GRU4Rec, {"loss": "hinge"}, "loss must be one of"),
    ],
)
def test_settings_out_of_range_are_refused(
    make: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(**settings)
