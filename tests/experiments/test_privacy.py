"""The experiment on privacy records each run once, and writes a table of the seeds."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import pytest

from experiments import privacy
from experiments.records import Records
from tests import worlds

QUICK = {"steps": 2, "factors": 8}


def test_runs_are_recorded_once_and_summarised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(privacy, "load_dataset", lambda name: worlds.small())
    monkeypatch.setattr(privacy, "INPUTS", {"text": {"item_input": "text"} | QUICK})
    levels = {"no privacy": {}, "epsilon 3": {"epsilon": 3.0}}
    monkeypatch.setattr(privacy, "PRIVATE", levels)
    monkeypatch.setattr(privacy, "ROBUST", {"plain": QUICK})
    options = argparse.Namespace(
        root=tmp_path,
        dataset="bazaar",
        seeds=[0, 1],
        parts=["text", "robust"],
        again=False,
        command="python -m experiments privacy",
    )
    privacy.run(options)
    frame = Records(tmp_path / "results").frame()
    assert len(frame) == 6
    assert set(frame["variant"]) == {"text, no privacy", "text, epsilon 3", "text, plain"}
    (path,) = (tmp_path / "results" / "privacy").glob("*.csv")
    table = pd.read_csv(path, index_col="variant")
    assert table["part"].to_dict() == {
        "text, no privacy": "text",
        "text, epsilon 3": "text",
        "text, plain": "robust",
    }
    assert (table["seeds"] == 2).all()
    assert table["membership_auc"].notna().tolist() == [True, True, False]
    assert table["ndcg@10"].str.fullmatch(r"0\.\d{4} \[-?\d\.\d{4}, \d\.\d{4}\]").all()
    capsys.readouterr()
    privacy.run(options)
    assert capsys.readouterr().out.count("is recorded") == 6
