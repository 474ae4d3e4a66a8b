"""Curves over the number of people: settings are chosen on validation, never on test."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from m6rec_lite.course import people_curves, people_differences, project_root


def record(results: Path, run: str, model: str, variant: str, test: float, *epochs: float) -> None:
    path = results / "runs.csv"
    row = {"id": run, "experiment": "people", "dataset": "shop", "model": model}
    row |= {"variant": variant, "seed": 0, "ndcg@10": test}
    old = pd.read_csv(path) if path.is_file() else pd.DataFrame()
    pd.concat([old, pd.DataFrame([row])]).to_csv(path, index=False)
    folder = results / "runs" / run
    folder.mkdir(parents=True)
    if epochs:
        lines = [json.dumps({"epoch": i, "ndcg@10": value}) for i, value in enumerate(epochs)]
        (folder / "metrics.jsonl").write_text("\n".join(lines))


def test_settings_are_chosen_on_validation_and_seeds_averaged(tmp_path: Path) -> None:
    record(tmp_path, "a", "Net", "10 people epochs=2", 0.9, 0.1, 0.2)  # best on test only
    record(tmp_path, "b", "Net", "10 people epochs=3", 0.5, 0.3, 0.1)
    record(tmp_path, "c", "Net", "10 people epochs=3", 0.7, 0.4)
    record(tmp_path, "d", "Net", "20 people item_input=ids", 0.6, 0.1)
    record(tmp_path, "e", "Net", "20 people item_input=both", 0.8, 0.1)
    record(tmp_path, "f", "EASE", "20 people decay=0.8", 0.4)
    curves = people_curves(tmp_path, "shop")
    assert curves.index.tolist() == [10, 20]
    assert curves.columns.tolist() == ["EASE", "Net", "Net ids"]
    assert curves["Net"].tolist() == pytest.approx([0.6, 0.8])
    assert curves.loc[20, ["EASE", "Net ids"]].tolist() == [0.4, 0.6]
    assert curves.loc[10, ["EASE", "Net ids"]].isna().all()


def test_without_records_there_are_no_curves(tmp_path: Path) -> None:
    assert people_curves(tmp_path, "shop").empty
    record(tmp_path, "a", "EASE", "10 people", 0.1)
    assert people_curves(tmp_path, "other").empty


def test_the_projects_own_records_are_read() -> None:
    curves = people_curves(project_root() / "results", "bazaar")
    assert {"EASE", "Bigram"} <= set(curves)
    assert curves["EASE"].is_monotonic_increasing


def test_differences_are_paired_and_agree_with_the_curves() -> None:
    results = project_root() / "results"
    curves = people_curves(results, "bazaar")
    gaps = people_differences(results, "bazaar", "M6RecRetriever", "EASE")
    wanted = (curves["M6RecRetriever"] - curves["EASE"]).dropna()
    assert gaps["difference"].to_dict() == pytest.approx(wanted.to_dict(), abs=1e-6)
    assert ((gaps["low"] < gaps["difference"]) & (gaps["difference"] < gaps["high"])).all()
    assert people_differences(results, "bazaar", "EASE", "no such model").empty
