"""K labels of one row from one pass: the loss, missing labels, and bad input."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from m6rec_lite.ctr import split_by_time
from m6rec_lite.data import DataError
from m6rec_lite.language import BehaviourText, Tokenizer
from m6rec_lite.m6rec import (
    Adapted,
    Examples,
    LoRA,
    M6RecConfig,
    M6RecModel,
    MultiLabelScoring,
    OptionTuning,
    PromptBuilder,
    TaskBatches,
    TaskData,
    correct_for_sampling,
    parameter_groups,
)
from m6rec_lite.m6rec.tasks.task import collate
from m6rec_lite.training import fit
from tests.m6rec.adapt.tiny import examples as tiny_examples
from tests.m6rec.adapt.tiny import make
from tests.worlds import shipped

ROOT = Path(__file__).resolve().parents[2]
LABELS = ("clicked", "purchased")


@cache
def prompts() -> PromptBuilder:
    tokenizer = Tokenizer.load(ROOT / "checkpoints" / "bazaar-m6rec")
    return PromptBuilder(BehaviourText(shipped()), tokenizer, 160)


def task(hidden_size: int = 16, **settings) -> MultiLabelScoring:
    torch.manual_seed(0)
    return MultiLabelScoring(hidden_size, **{"feature_groups": (), "events": 0} | settings)


def tiny(n: int = 12) -> Examples:
    rows = tiny_examples(n)
    target = np.stack([rows.target, np.where(np.arange(n) % 4 == 1, 1, 0)], axis=1)
    target[rows.target == 0, 1] = -1
    return Examples(rows.known, rows.written, target)


def test_the_loss_is_that_of_each_label_apart_from_one_pass() -> None:
    model, both, rows = make(), task().double(), tiny()
    batch = collate(rows, np.arange(len(rows)))
    state = batch.last(batch.states(model))
    logits, has = both.head(state), batch.target[:, 1] >= 0
    clicks = F.binary_cross_entropy_with_logits(logits[:, 0], batch.target[:, 0].double())
    purchases = F.binary_cross_entropy_with_logits(
        logits[has, 1], batch.target[has, 1].double(), reduction="sum"
    )
    torch.testing.assert_close(both.loss(model, batch), clicks + purchases / len(rows))


def test_missing_labels_have_no_gradient() -> None:
    model, both, rows = make(), task().double(), tiny()
    none = np.flatnonzero(rows.target[:, 1] < 0)
    both.loss(model, collate(rows, none)).backward()
    assert both.head.weight.grad[0].abs().sum() > 0
    assert both.head.weight.grad[1].abs().sum() == 0


def test_both_labels_are_learned_saved_and_predicted(tmp_path: Path) -> None:
    rows, model = tiny(24), make()
    adapted = Adapted(model, LoRA(2), task().double())
    optimizer = torch.optim.AdamW(parameter_groups(model, adapted.task, lr=3e-2))
    fit(adapted, TaskBatches(rows, 10_000), Adapted.loss, optimizer=optimizer, epochs=40,
        progress=False)  # fmt: skip
    p = adapted.task.predict(model, rows)
    assert p.shape == (24, 2)
    assert ((p[:, 0] > 0.5) == rows.target[:, 0]).all()
    again = Adapted.load(adapted.save(tmp_path), make())
    assert isinstance(again.task, MultiLabelScoring)
    assert again.task.settings() == adapted.task.settings()
    assert (again.task.predict(again.model, rows) == p).all()


def test_rows_are_impressions_and_purchases_are_asked_of_clicked_ones() -> None:
    shown = split_by_time(shipped().impressions)[0]
    table = shown.iloc[np.r_[:60, np.flatnonzero(shown["clicked"])[:60]]]
    both = task()
    rows = both.encode(table, shipped(), prompts(), fit=True)
    assert rows.target.shape == (120, 2)
    assert (rows.target[:, 0] == table["clicked"]).all()
    clicked = table["clicked"].to_numpy()
    assert (rows.target[~clicked, 1] == -1).all()
    assert (rows.target[clicked, 1] == table["purchased"][clicked]).all()
    rates = torch.sigmoid(both.head.bias).detach().numpy()
    bought = table["purchased"][clicked].mean()
    np.testing.assert_allclose(rates, [clicked.mean(), bought], rtol=1e-5)
    known = both.encode(table, shipped(), prompts(), label=None)
    assert known.target.tolist() == [0] * 120


def test_figures_and_baselines_are_of_the_rows_that_have_the_label() -> None:
    rows = tiny(12)
    rows.about["user_id"] = np.arange(12)
    both, data = task(negative_share=0.5), TaskData.of(shipped())
    base = both.baselines(rows, rows, data)["mean rate"]
    np.testing.assert_allclose(base[0, 0], correct_for_sampling(np.array([0.5]), 0.5)[0])
    np.testing.assert_allclose(base[0, 1], 0.5)
    perfect = rows.target.clip(0).astype(float) * 0.98 + 0.01
    figures = both.evaluate(perfect, rows, data)
    assert figures["clicked auc"] == figures["purchased auc"] == 1


def test_predictions_of_clicks_are_corrected_for_sampling() -> None:
    model, rows = make(), tiny()
    plain, sampled = task().double(), task(negative_share=0.1).double()
    p, q = plain.predict(model, rows), sampled.predict(model, rows)
    np.testing.assert_allclose(q[:, 0], correct_for_sampling(p[:, 0], 0.1))
    np.testing.assert_allclose(q[:, 1], p[:, 1])


@pytest.mark.parametrize(
    "settings",
    [{"labels": ()}, {"labels": ("clicked", "clicked")}, {"given": {"returned": "clicked"}},
     {"labels": ("purchased",), "given": {"purchased": "clicked"}}],
)  # fmt: skip
def test_labels_that_do_not_fit_are_refused(settings) -> None:
    with pytest.raises(ValueError, match="labels must be one or more different names"):
        task(**settings)
    assert task(labels=("purchased",)).given == {}


def test_bad_columns_and_options_are_refused() -> None:
    shown = shipped().impressions.head(4)
    with pytest.raises(DataError, match=r"no columns \['returned'\]"):
        task(labels=("clicked", "returned")).encode(shown, shipped(), prompts())
    two = shown.assign(purchased=[0, 1, 2, 0])
    with pytest.raises(DataError, match=r"must be 0 or 1 .* in every row"):
        task().encode(two, shipped(), prompts())
    with pytest.raises(ValueError, match="needs a task of as many classes"):
        Adapted(make(), OptionTuning(4), task())


def test_it_starts_from_a_model_of_its_size() -> None:
    config = M6RecConfig.of_size("nano", prompts().tokenizer, hidden_size=48)
    model, both = M6RecModel(config), task(48)
    rows = both.encode(shipped().impressions.head(5), shipped(), prompts())
    assert both.predict(model, rows).shape == (5, 2)
