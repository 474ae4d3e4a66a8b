"""Click models compared by one command: rows, paired intervals, and bad input."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import click_models
from experiments.__main__ import main
from experiments.click_models import BASELINES, ClickComparison, difference_columns
from m6rec_lite.ctr.base import MeanRateCTR
from m6rec_lite.ctr.linear import LogisticCTR
from m6rec_lite.data import Dataset, bazaar
from m6rec_lite.evaluation.ctr import auc


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return bazaar.generate(users=400, items=150, seed=5)


@pytest.fixture(scope="module")
def fitted(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both baselines have run."""
    root = tmp_path_factory.mktemp("fitted")
    for name in BASELINES:
        ClickComparison(dataset, root).baseline(name)
    return root


@pytest.fixture
def runs(dataset: Dataset, fitted: Path, tmp_path: Path) -> ClickComparison:
    shutil.copytree(fitted, tmp_path, dirs_exist_ok=True)
    return ClickComparison(dataset, tmp_path)


def table(runs: ClickComparison) -> pd.DataFrame:
    return pd.read_csv(runs.path, keep_default_na=False)


def test_a_run_writes_its_row_beside_the_baselines(runs: ClickComparison) -> None:
    runs.fit(MeanRateCTR(), "", command="by hand", progress=False)
    result = table(runs).set_index("model")
    assert sorted(result.index) == ["DIN", "LogisticCTR", "MeanRateCTR"]
    ours = MeanRateCTR().fit(runs.train, runs.dataset)
    chances = ours.predict(runs.questions, runs.dataset)
    row = result.loc["MeanRateCTR"]
    assert row["auc"] == pytest.approx(auc(runs.truth, chances), abs=1e-5)
    for baseline in ("LogisticCTR", "DIN"):
        gap = row["auc"] - result.loc[baseline, "auc"]
        mean, low, high = (float(row[column]) for column in difference_columns(baseline))
        assert mean == pytest.approx(gap, abs=2e-5)
        assert low <= gap <= high
        assert result.loc[baseline, difference_columns(baseline)[0]] == ""  # not with itself
    assert result.loc["LogisticCTR", "n_train"] == len(runs.train)


def test_a_row_written_again_is_replaced_and_other_settings_stand_beside_it(runs) -> None:
    for _ in range(2):
        runs.fit(MeanRateCTR(), "", command="one", progress=False)
    runs.fit(MeanRateCTR(), "label=clicked", command="other", progress=False)
    result = table(runs)
    assert result["model"].tolist().count("MeanRateCTR") == 2
    assert not result.duplicated(["model", "variant", "seed"]).any()


def test_the_baseline_is_fitted_once(runs: ClickComparison, monkeypatch) -> None:
    first = runs.baseline("LogisticCTR")
    monkeypatch.setattr(LogisticCTR, "fit", lambda *args, **more: pytest.fail("fitted again"))
    np.testing.assert_array_equal(runs.baseline("LogisticCTR"), first)


def test_the_oracle_stands_above_what_is_learnt(runs: ClickComparison) -> None:
    runs.oracle(command="asked")
    result = table(runs).set_index("model")
    assert all(
        float(result.loc["Oracle", difference_columns(baseline)[1]]) > 0 for baseline in BASELINES
    )
    runs.label = "purchased"
    runs.oracle(command="asked")  # it says nothing of what is bought: no row
    assert len(table(runs)) == 3


def test_buying_is_judged_on_clicked_rows_alone(dataset: Dataset, tmp_path: Path) -> None:
    runs = ClickComparison(dataset, tmp_path, "purchased")
    assert len(runs.truth) == int(runs.test["clicked"].sum())
    assert runs.truth.sum() == runs.test["purchased"].sum()


def test_the_command_writes_and_refuses(dataset, runs, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(click_models, "load_dataset", lambda name: dataset)
    words = [
        "click_models",
        "MeanRateCTR",
        "FactorizationMachineCTR",
        "--root",
        str(tmp_path),
        "--quiet",
    ]
    assert main([*words, "--seeds", "0", "1", "--label", "clicked"]) == 0
    result = pd.read_csv(tmp_path / "results" / "clicks" / f"{dataset.name}.csv")
    rows = result.groupby("model")["seed"].apply(sorted).to_dict()
    assert rows["FactorizationMachineCTR"] == [0, 1]
    assert rows["MeanRateCTR"] == [0]
    assert "click_models FactorizationMachineCTR --dataset" in result["command"].str.cat()
    assert str(tmp_path) not in result["command"].str.cat()
    monkeypatch.setattr(MeanRateCTR, "fit", lambda *args, **more: pytest.fail("fitted again"))
    assert main(words) == 0
    assert "MeanRateCTR, seed 0: recorded before" in capsys.readouterr().out
    assert main(["click_models", "DIN", "--root", str(tmp_path), "--set", "epochs=none"]) == 2
    assert "epochs" in capsys.readouterr().err
    monkeypatch.setattr(click_models, "load_dataset", lambda name: Dataset(
        "none", dataset.interactions, dataset.items, dataset.users, dataset.card))  # fmt: skip
    assert main(["click_models", "DIN", "--root", str(tmp_path)]) == 2
    assert "no impressions" in capsys.readouterr().err
