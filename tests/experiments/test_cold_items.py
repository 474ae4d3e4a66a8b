"""Items without training rows: every model is recorded once, and TF-IDF's decay is tuned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments import cold_items
from experiments.__main__ import main
from experiments.records import Records
from m6rec_lite.data import bazaar, cold_item
from m6rec_lite.data.result_files import read_json
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import ContentBased

DATASET = bazaar.generate(users=200, items=120, seed=6, progress=False)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_items, "load_dataset", lambda name: DATASET)
    monkeypatch.setattr(cold_items, "RETRIEVER", {"epochs": 1, "size": "1x32"})
    monkeypatch.setattr(cold_items, "SASREC", {"epochs": 1, "hidden_size": 16, "n_heads": 1})


def test_the_decay_is_the_best_on_validation() -> None:
    split = cold_item(DATASET, seed=1)
    best, ndcg = cold_items.choose_decay(split, DATASET.items)
    assert list(ndcg) == [f"{decay:g}" for decay in cold_items.DECAYS]
    model = ContentBased(decay=best).fit(split.train, items=DATASET.items)
    report = evaluate(model, split, on="validation", progress=False)
    assert report["ndcg@10"] == pytest.approx(max(ndcg.values()), abs=1e-4)


def test_every_model_is_recorded_once_on_the_same_questions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["cold_items", "--seed", "1", "--root", str(tmp_path), "--quiet"]
    assert main(words) == 0
    frame = Records(tmp_path / "results").frame()
    assert len(frame) == len(cold_items.models(1)) + 1
    assert set(frame["seed"]) == {1}
    folders = [tmp_path / "results" / "runs" / run for run in frame["id"]]
    reports = [read_json(folder / "report.json") for folder in folders]
    assert {report["split_hash"] for report in reports} == {cold_item(DATASET, seed=1).hash}
    assert {report["n_users"] for report in reports} == {reports[0]["n_users"]}
    ranks = [np.load(folder / "ranks.npz") for folder in folders]
    for one in ranks[1:]:
        np.testing.assert_array_equal(one["user_ids"], ranks[0]["user_ids"])
    popular = ranks[frame.index.get_loc(frame.index[frame["model"] == "Popularity"][0])]
    assert (popular["above"] == 0).all()  # no cold item has a training row: all are tied
    assert (popular["tied"] > 0).all()
    capsys.readouterr()
    assert main(words) == 0
    assert "ContentBased" not in capsys.readouterr().out  # nothing was fitted again
