"""Records of runs: ids, what a folder holds, the index, and paired tests from kept ranks."""

from __future__ import annotations

import json
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.__main__ import experiments, main
from experiments.records import RANKS, Records, RunKey, read_history, summary
from m6rec_lite.course.paths import project_root
from m6rec_lite.data import Dataset, leave_one_out
from m6rec_lite.evaluation import Report, compare, evaluate
from m6rec_lite.evaluation.rank_files import read_ranks
from m6rec_lite.evaluation.ranking import accuracy
from m6rec_lite.recommenders import Bigram, Popularity

ROOT = project_root()
KEY = RunKey("long_runs", "walks", "Bigram", "k=1", 3)


@pytest.fixture(scope="module", params=[int, str])
def reports(request: pytest.FixtureRequest) -> list[Report]:
    """Two models on walks whose users are numbers, then text."""
    rng = np.random.default_rng(0)
    rows = [
        (user, (start + 3 * t) % 25, t)
        for user, start in enumerate(rng.integers(0, 25, 60))
        for t in range(int(rng.integers(4, 9)))
    ]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["user_id"] = frame["user_id"].map(lambda user: request.param(1000 + user))
    split = leave_one_out(Dataset("walks", frame, items=None, users=None, card={}))
    models = [model.fit(split.train, progress=False) for model in (Bigram(), Popularity())]
    return [evaluate(model, split, progress=False) for model in models]


def record(root: Path, report: Report, key: RunKey = KEY) -> Path:
    records = Records(root / "results")
    folder = records.start(key, command="make it", split_hash=report.split_hash)
    history = pd.DataFrame({"epoch": [1, 2], "loss": [0.25, np.nan]})
    records.finish(key, summary(report), history=history, ranks=report)
    return folder


def test_an_id_is_stable_and_names_every_field() -> None:
    assert RunKey("long_runs", "ml-1m", "SASRec", "epochs=5", 1).id == "bdc7d909"
    changes = {"seed": 4} | dict.fromkeys(("experiment", "dataset", "model", "variant"), "other")
    assert set(changes) == {field.name for field in fields(RunKey)}
    ids = {replace(KEY, **{name: value}).id for name, value in changes.items()} | {KEY.id}
    assert len(ids) == 1 + len(changes)


def test_a_run_stands_once_it_is_finished(reports: list[Report], tmp_path: Path) -> None:
    records = Records(tmp_path / "results")
    assert not records.is_recorded(KEY)
    records.start(KEY, command="make it")
    assert not records.is_recorded(KEY)
    folder = record(tmp_path, reports[0])
    assert records.is_recorded(KEY)
    assert read_history(folder / "metrics.jsonl").to_dict("list")["epoch"] == [1, 2]
    index = pd.read_csv(tmp_path / "results" / "runs.csv")
    assert index["id"].tolist() == [KEY.id] == [folder.name]
    assert index["ndcg@10"][0] == pytest.approx(reports[0]["ndcg@10"], abs=1e-6)
    assert index[["ranks", "command"]].to_numpy().tolist() == [["kept", "make it"]]


def test_ranks_give_every_figure_of_every_user(reports: list[Report], tmp_path: Path) -> None:
    report = reports[0]
    users, ranks = read_ranks(record(tmp_path, report) / RANKS)
    order = np.argsort(report.user_ids)
    assert users.tolist() == report.user_ids[order].tolist()
    figures = accuracy(ranks, report.k)
    for name, values in figures.items():
        np.testing.assert_array_equal(values, report.per_user[name][order])


def test_two_runs_are_compared_without_training(
    reports: list[Report], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    keys = [replace(KEY, variant=""), RunKey("long_runs", "walks", "Popularity")]
    for key, report in zip(keys, reports, strict=True):
        record(tmp_path, report, key)
    words = ["compare", *(key.id for key in keys), "--root", str(tmp_path)]
    assert main([*words, "--metric", "hr@5"]) == 0
    assert str(compare(*reports, "hr@5")) in capsys.readouterr().out
    assert main([*words, "--metric", "luck@5"]) == 2
    assert "no metric 'luck@5'" in capsys.readouterr().err
    config = tmp_path / "results" / "runs" / keys[0].id / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"split_hash": "other"}))
    assert main(words) == 2
    assert "different test sets" in capsys.readouterr().err
    assert main(["compare", keys[0].id, "00000000", "--root", str(tmp_path)]) == 2
    assert "has no ranks.npz" in capsys.readouterr().err


def test_a_renamed_setting_moves_the_folder(reports: list[Report], tmp_path: Path) -> None:
    folder = record(tmp_path, reports[0])
    config = json.loads((folder / "config.json").read_text()) | {"variant": "neighbours=1"}
    (folder / "config.json").write_text(json.dumps(config))
    key = replace(KEY, variant="neighbours=1")
    assert Records(tmp_path / "results").rekey() == {KEY.id: key.id}
    assert Records(tmp_path / "results").is_recorded(key)
    assert pd.read_csv(tmp_path / "results" / "runs.csv")["id"].tolist() == [key.id]


def test_every_experiment_is_listed_with_one_line(capsys: pytest.CaptureFixture) -> None:
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(experiments())
    assert {"compare", "long_runs", "reference_results", "results", "scaling"} <= set(experiments())
    assert all(len(line.split()) > 4 for line in lines)


# The committed records


def test_the_index_and_the_ids_are_those_of_the_folders() -> None:
    records = Records(ROOT / "results")
    frame = records.frame()
    text = frame.to_csv(index=False, float_format="%.6g")
    assert records.index.read_text("utf-8") == text, "run: python -m experiments results"
    for row in frame.to_dict("records"):
        key = RunKey(**{field.name: row[field.name] for field in fields(RunKey)})
        assert row["id"] == key.id


def test_no_tracked_path_is_long() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git checkout")
    longest = max(listed.stdout.splitlines(), key=len)
    assert len(longest) <= 100, longest


def test_nothing_in_the_package_imports_the_experiments() -> None:
    for path in (ROOT / "m6rec_lite").rglob("*.py"):
        text = path.read_text("utf-8")
        assert "import experiments" not in text, path
        assert "from experiments" not in text, path
