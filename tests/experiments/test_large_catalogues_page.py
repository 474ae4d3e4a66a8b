"""The lines of docs/own-data.md and the command of docs/large-catalogues.md read S3-Rec's files.

The file is generated in their form: one line a user, the user and then the items in their order.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.__main__ import main
from m6rec_lite.data import DataError, leave_one_out, load_dataset
from m6rec_lite.evaluation import fit_and_evaluate
from m6rec_lite.recommenders import Popularity

DOCS = Path(__file__).parents[2] / "docs"
N_USERS, N_ITEMS = 300, 80


def one_line_a_user() -> str:
    """Users whose next item is a fixed successor in four of five steps, and else a popular one."""
    rng = np.random.default_rng(0)
    after = rng.permutation(N_ITEMS)
    popular = 1 / np.arange(1, N_ITEMS + 1)
    lines = []
    for user in range(N_USERS):
        items = [int(rng.integers(N_ITEMS))]
        for _ in range(int(rng.integers(5, 14))):
            likely = after[items[-1]]
            if likely in items or rng.random() < 0.2:
                weights = popular * ~np.isin(np.arange(N_ITEMS), items)
                likely = rng.choice(N_ITEMS, p=weights / weights.sum())
            items.append(int(likely))
        lines.append(" ".join(str(1 + number) for number in (user, *items)))
    return "\n".join(lines) + "\n"


def convert(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the lines of own-data.md that write ``beauty.csv`` from ``Beauty.txt``."""
    page = (DOCS / "own-data.md").read_text(encoding="utf-8")
    section = page.partition("## One line a user\n")[2]
    (block,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)
    monkeypatch.chdir(folder)
    names = {"load_dataset": load_dataset, "leave_one_out": leave_one_out}
    exec(compile(block, "own-data.md", "exec"), names)


def command_of_the_page(**changes: str) -> list[str]:
    """Return the words after ``python -m experiments``, with other values of some settings."""
    page = (DOCS / "large-catalogues.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    words = shlex.split(block.replace("\\\n", " "))
    assert words[:3] == ["python", "-m", "experiments"]
    for name, value in changes.items():
        (old,) = [word for word in words if word.startswith(f"{name}=")]
        words[words.index(old)] = f"{name}={value}"
    return words[3:]


def test_the_command_trains_ranks_and_records_a_row_above_popularity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "Beauty.txt").write_text(one_line_a_user(), encoding="utf-8")
    convert(tmp_path, monkeypatch)
    assert f"test {N_USERS}" in capsys.readouterr().out
    words = command_of_the_page(epochs="25", negatives="64")
    words += ["batch_size=32", "lr=0.01", "--root", str(tmp_path), "--quiet"]
    assert main(words) == 0

    split = leave_one_out(load_dataset("beauty.csv", timestamp="row"))
    assert (len(split.test), len(split.item_ids)) == (N_USERS, N_ITEMS)
    popular = fit_and_evaluate(Popularity(), split, progress=False)
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    config = json.loads((folder / "config.json").read_text())
    report = json.loads((folder / "report.json").read_text())
    assert (config["dataset"], config["split_hash"]) == ("beauty", split.hash)
    assert (config["settings"]["loss"], config["settings"]["negatives"]) == ("sampled", 64)
    assert "--read timestamp=row" in config["command"]
    assert report["n_users"] == N_USERS
    assert report["metrics"]["ndcg@10"] > 2 * popular["ndcg@10"]
    low, _ = report["intervals"]["ndcg@10"]
    assert low > popular.intervals["ndcg@10"][1]
    board = pd.read_csv(tmp_path / "results" / "leaderboard" / "beauty.csv")
    assert board["model"].tolist() == ["SASRec"]
    assert board["ndcg@10"][0] == pytest.approx(report["metrics"]["ndcg@10"], abs=1e-4)

    capsys.readouterr()
    assert main(words) == 0  # the same command again trains nothing
    assert f"recorded before: results/runs/{folder.name}" in capsys.readouterr().out


def test_a_user_without_items_is_an_error_that_names_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "Beauty.txt").write_text("1 5 6 7\n2\n3 5 6\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"beauty\.csv.*item_id"):
        convert(tmp_path, monkeypatch)


def test_reading_options_belong_to_files_and_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text("user_id,item_id\n1,2\n", encoding="utf-8")
    run = ["long_runs", "SASRec", "--root", str(tmp_path), "--dataset"]
    assert main([*run, "rows.csv"]) == 2
    assert 'timestamp="row"' in capsys.readouterr().err
    assert main([*run, "rows.csv", "--read", "order=row"]) == 2
    assert "order" in capsys.readouterr().err
    assert main([*run, "bazaar", "--read", "timestamp=row"]) == 2
    assert "the bazaar takes no timestamp=" in capsys.readouterr().err
