"""Long runs: what they record, and that an interrupted one continues."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.__main__ import main
from experiments.arguments import read_settings
from experiments.long_runs import long_run
from experiments.records import read_history
from m6rec_lite.data import Dataset, Split, leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import BERT4Rec, Bigram, SASRec

SMALL = {"hidden_size": 8, "max_length": 8, "epochs": 4, "batch_size": 32, "lr": 0.01}


@pytest.fixture(scope="module")
def split() -> Split:
    rng = np.random.default_rng(0)
    rows = [
        (user, (start + 3 * t) % 25, t)
        for user, start in enumerate(rng.integers(0, 25, 100))
        for t in range(int(rng.integers(4, 9)))
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    dataset = Dataset(name="walks", interactions=frame, items=None, users=None, card={})
    return leave_one_out(dataset)


def folder(root: Path) -> Path:
    (path,) = (root / "results" / "runs").iterdir()
    return path


def test_a_run_writes_its_settings_its_curve_and_its_report(split: Split, tmp_path: Path) -> None:
    model = SASRec(**SMALL, seed=3)
    report = long_run(model, split, tmp_path, command="by hand", progress=False)
    out = folder(tmp_path)
    names = ["config.json", "metrics.jsonl", "ranks.npz", "report.json"]
    assert sorted(file.name for file in out.iterdir()) == names
    assert not any(str(tmp_path).encode() in file.read_bytes() for file in out.iterdir())
    config = json.loads((out / "config.json").read_text())
    assert config["settings"] == model.get_params()
    assert config["split_hash"] == split.hash
    curve = read_history(out / "metrics.jsonl")
    assert curve["epoch"].tolist() == [1, 2, 3, 4]
    result = json.loads((out / "report.json").read_text())
    assert result["metrics"]["ndcg@10"] == pytest.approx(report["ndcg@10"], abs=1e-6)
    assert result["best_epoch"] == curve["epoch"][curve["ndcg@10"].idxmax()]
    plain = evaluate(Bigram().fit(split.train), split, bootstrap=0, progress=False)
    ratio = report["ndcg@10"] / plain["ndcg@10"]
    assert result["times the bigram's ndcg@10"] == pytest.approx(ratio, abs=1e-3)
    low, high = (result["more than the bigram, paired"][end] for end in ("low", "high"))
    assert low <= report["ndcg@10"] - plain["ndcg@10"] <= high
    board = pd.read_csv(tmp_path / "results" / "leaderboard" / "walks.csv")
    assert board[["model", "seed", "command"]].to_numpy().tolist() == [["SASRec", 3, "by hand"]]
    assert "seed" not in board["variant"][0]  # it has a column, and seeds of one variant are one


@pytest.mark.parametrize("kind", [SASRec, BERT4Rec])
def test_the_same_command_goes_on_from_the_checkpoint(
    split: Split, tmp_path: Path, kind: type[SASRec] | type[BERT4Rec]
) -> None:
    first = long_run(kind(**SMALL), split, tmp_path, command="", progress=False)
    curve = folder(tmp_path) / "metrics.jsonl"
    written = curve.read_text()
    again = long_run(kind(**SMALL), split, tmp_path, command="", progress=False)
    assert again.metrics == first.metrics
    assert curve.read_text() == written  # seconds too: nothing was run


def test_settings_are_read_as_json_or_text() -> None:
    result = read_settings(
        ["epochs=5", "loss=bce", "shared_negatives=false", "patience=null", "lr=1e-3"]
    )
    assert result == {
        "epochs": 5, "loss": "bce", "shared_negatives": False, "patience": None, "lr": 1e-3,
    }  # fmt: skip
    with pytest.raises(ValueError, match="name=value, got 'epochs'"):
        read_settings(["epochs"])


def test_a_wrong_setting_is_reported(capsys: pytest.CaptureFixture) -> None:
    assert main(["long_runs", "SASRec", "--dataset", "bazaar", "--set", "n_heads=3"]) == 2
    assert "cannot be split among 3 heads" in capsys.readouterr().err
    assert main(["long_runs", "SASRec", "--set", "heads=3"]) == 2
    assert "heads" in capsys.readouterr().err
