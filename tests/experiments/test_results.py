"""``make results``: steps that skip what stands, and pages that are what the files say."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import pytest

from experiments import results
from experiments.pages import boards, filter_tables, people, results_page
from experiments.pages.regions import region
from experiments.records import Records
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.paths import project_root
from m6rec_lite.evaluation.report import markdown_table

ROOT = project_root()


def options(root: Path, **more: object) -> argparse.Namespace:
    arguments = {"root": root, "again": False, "quiet": True, "command": "make results"}
    return argparse.Namespace(**arguments | more)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two lessons whose runner writes a row for each."""
    (tmp_path / "notebooks").mkdir()
    for name in ("00_hello", "01_world"):
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text("{}")
    calls: list[str] = []

    def run(*, numbers: str, out: Path, dataset: str, scale: str, **more: object) -> int:
        calls.append(numbers)
        if "fails" in calls:
            return 1
        for number in numbers.split(","):
            row = {"dataset": dataset, "scale": scale, "split_hash": "abc", "model": number}
            row |= {"variant": "", "seed": 0}
            row |= {
                f"{name}@10{end}": 0.1 for name in ("hr", "ndcg") for end in ("", "_low", "_high")
            }
            board = Leaderboard(out / "leaderboard")
            board.add(row)
            board.ranks_path(row).parent.mkdir(exist_ok=True)
            if number != "00":
                board.ranks_path(row).write_bytes(b"ranks")
        rows = {"chapter": ["00_hello", "01_world"], "seconds": [1.0, 2.0]}
        pd.DataFrame(rows).to_csv(out / "chapters.csv", index=False)
        return 0

    monkeypatch.setattr(results.runner, "run", run)
    monkeypatch.setattr(results, "LESSONS", {"bazaar": None})
    monkeypatch.setattr(results, "_is_available", lambda name: True)
    monkeypatch.setattr(results.runner, "calls", calls, raising=False)
    return tmp_path


def test_lessons_are_run_once_and_a_new_one_alone(project: Path) -> None:
    calls = results.runner.calls
    assert results.run_lessons(options(project)) == 0
    assert results.run_lessons(options(project)) == 0
    assert calls == ["00,01"]
    (project / "notebooks" / "02_more.ipynb").write_text("{}")
    assert results.run_lessons(options(project)) == 0
    assert calls[1:] == ["02"]
    board = Leaderboard(project / "results" / "leaderboard").frame("bazaar")
    assert board["model"].tolist() == ["00", "01", "02"]
    index = Records(project / "results").frame().set_index("model")["ranks"]
    assert index.to_dict() == {"01": "kept", "02": "kept", "lessons": "not kept"}
    assert results.run_lessons(options(project, again=True)) == 0
    assert calls[2:] == ["00,01,02"]


def test_rows_of_a_run_that_failed_are_not_kept(project: Path) -> None:
    results.runner.calls.append("fails")
    assert results.run_lessons(options(project)) == 1
    assert not (project / "results").exists()


def test_rows_of_the_stored_lessons_replace_those_of_lessons_before(project: Path) -> None:
    def row(model: str, command: str) -> dict[str, object]:
        ends = {f"{name}@10{end}": 0.1 for name in ("hr", "ndcg") for end in ("", "_low", "_high")}
        key = {"dataset": "bazaar", "scale": "laptop", "split_hash": "abc", "model": model}
        return key | {"variant": "", "seed": 0, "command": command} | ends

    board = Leaderboard(project / "results" / "leaderboard")
    store = "python -m m6rec_lite.course store notebooks/"
    board.add(row("Gone", store + "17_old.ipynb"))
    board.add(row("Long", "python -m experiments long_runs Long"))
    results.save_stored(options(project))
    assert board.frame("bazaar")["model"].tolist() == ["Gone", "Long"]  # nothing stored here
    stored = Leaderboard(project / "runs" / "stored" / "01" / "leaderboard")
    stored.add(row("New", store + "01_world.ipynb"))
    results.save_stored(options(project))
    assert board.frame("bazaar")["model"].tolist() == ["Long", "New"]


def test_steps_run_in_order_and_say_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    done = []
    steps = {name: lambda options, name=name: done.append(name) for name in ("one", "two")}
    monkeypatch.setattr(results, "STEPS", steps)
    assert results.run(options(Path(), only=["one", "two"])) == 0
    assert done == ["one", "two"]
    assert "step 2 of 2: two" in capsys.readouterr().out


def test_the_card_stands_here(capsys: pytest.CaptureFixture) -> None:
    results.run_data_card(options(ROOT))
    assert "describes this world already" in capsys.readouterr().out


def test_the_page_shows_what_the_files_say() -> None:
    page = (ROOT / results_page.PAGE).read_text("utf-8")
    for dataset, picture in boards.PICTURES.items():
        if not (ROOT / "results" / "leaderboard" / f"{dataset}.csv").is_file():
            continue
        assert markdown_table(boards.board_table(ROOT / "results", dataset)) in page
        assert f"../results/{picture}" in page
        assert (ROOT / "results" / picture).is_file()
    for section in (filter_tables.section, people.section):
        assert section(ROOT / "results") in page
    assert results_page.real_table(ROOT / "results") in page
    assert "17.8 %" in page
    assert "HSTU-large | nothing" not in page
    for name in ("people.png", "reference_results.md", "paper_against_ours.md", "runs.csv"):
        assert f"../results/{name}" in page
        assert (ROOT / "results" / name).is_file()


def test_the_readme_shows_the_headlines_of_the_files() -> None:
    shown = region(ROOT / "README.md", "headline")
    assert shown == results_page.headline(ROOT)
    assert 3 <= len(shown.splitlines()) <= 4
    assert len(shown) < 1200


def test_a_set_that_is_not_here_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("M6REC_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert results._is_available("bazaar")
    assert not results._is_available("ml-1m")
    assert "ml-1m is skipped" in capsys.readouterr().err
