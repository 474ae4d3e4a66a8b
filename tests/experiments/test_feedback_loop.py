"""The experiment ``feedback_loop``: one record for each policy and seed, and the table of all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from experiments import feedback_loop
from experiments.__main__ import main
from experiments.feedback_loop import POLICIES
from m6rec_lite.data import Interactions
from m6rec_lite.recommenders import EASE
from tests.worlds import small

COMMAND = ["feedback_loop", "--seeds", "0", "1", "--requests", "60", "--candidates", "8"]


class Checkpoint:
    """Stands for ``M6RecRetriever``: a model that is quick to fit."""

    @staticmethod
    def load(path: Path) -> EASE:
        assert path.name == "bazaar-retriever"
        return EASE().fit(Interactions.from_frame(small().interactions))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback_loop, "load_dataset", lambda name: small())
    monkeypatch.setattr(feedback_loop, "M6RecRetriever", Checkpoint)


def test_it_records_each_policy_and_seed_once(
    quick: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, "--root", str(tmp_path)]) == 0
    capsys.readouterr()
    table = pd.read_csv(tmp_path / "results" / "feedback_loop" / "bazaar.csv")
    assert len(table) == 2 * len(POLICIES)
    assert set(table["model"]) == set(POLICIES)
    assert table["variant"].unique().tolist() == ["requests=60 candidates=8 batch=10"]
    assert (table["clicks"] < table["oracle"]).all()
    assert table.groupby("seed")["oracle"].nunique().eq(1).all()  # the same requests for all
    assert table["share of the oracle"].between(0, 1).all()
    folders = {path.name for path in (tmp_path / "results" / "runs").iterdir()}
    assert set(table["id"]) == folders

    assert main([*COMMAND, "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == ["seed 0 is recorded", "seed 1 is recorded"]
