"""The experiment ``adapting``: its cells, the choice of rates, its page, and one whole cell."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.__main__ import main
from experiments.adapted_tasks import make_question
from experiments.adapting import METHODS, Cell, rates_of
from experiments.pages.adapting import PAGE, TABLE, write_page
from experiments.records import Records
from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.language import Tokenizer
from m6rec_lite.m6rec import Adapted, M6RecModel, Scoring

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = Tokenizer.load(ROOT / "checkpoints" / "bazaar-m6rec")
ABOUT_ONE_PERCENT = ("adapters", "lora", "prefix", "option_adapter")


def write(records: Records, cell: Cell, figure: float, lr: float) -> None:
    costs = {"trained": 6144, "share": 0.00996, "bytes": 25_000, "fit_cpu_seconds": 3.0}
    metric = "ndcg@10" if cell.task == "next" else "auc"
    records.start(cell.key, command="none")
    records.finish(
        cell.key,
        {
            "metrics": {metric: figure},
            "intervals": {metric: [figure - 0.01, figure + 0.01]},
            "costs": costs,
            "chosen": {"lr": lr},
            "minus_full": {"mean": -0.002, "low": -0.01, "high": 0.006},
        },
    )


def ml_like(n: int) -> Dataset:
    """Ratings of films with titles, one a second."""
    draw = np.random.default_rng(0)
    pairs = np.stack(np.meshgrid(np.arange(20), np.arange(10)), axis=-1).reshape(-1, 2)
    users, films = draw.permutation(pairs)[:n].T
    stars = draw.integers(1, 6, n).astype(float)
    rows = {"user_id": users, "item_id": films, "timestamp": 10**9 + np.arange(n)}
    ratings = pd.DataFrame(rows | {"event": "rate", "value": stars})
    titles = pd.DataFrame({"item_id": range(10), "title": [f"Film {i}" for i in range(10)]})
    return load_dataset(ratings, items=titles)


def test_the_rate_is_the_one_chosen_on_a_thousand_rows(tmp_path: Path) -> None:
    records = Records(tmp_path)
    grid = METHODS["lora"][1]
    assert rates_of(Cell("lora", "ctr", None, 1), records) == grid
    write(records, Cell("lora", "ctr", 1024, 0), 0.7, grid[1])
    assert rates_of(Cell("lora", "ctr", None, 1), records) == (grid[1],)
    assert rates_of(Cell("lora", "ctr", 1024, 2), records) == (grid[1],)
    assert rates_of(Cell("lora", "ctr", 1024, 0), records) == grid
    assert rates_of(Cell("lora", "ctr", 16, 0), records) == grid
    assert rates_of(Cell("lora", "cvr", None, 0), records) == grid


def test_the_page_has_a_table_of_methods_and_one_of_few_rows(tmp_path: Path) -> None:
    write_page(tmp_path)
    assert not (tmp_path / PAGE).exists()
    records = Records(tmp_path)
    for seed, figure in ((0, 0.75), (1, 0.77)):
        write(records, Cell("lora", "ctr", None, seed), figure, 1e-3)
    write(records, Cell("full", "next", None, 0), 0.11, 1e-3)
    write(records, Cell("lora", "ctr", 64, 0), 0.63, 1e-3)
    write(records, Cell("lora", "ctr", 64, 0, "--steps 2"), 0.1, 1e-3)  # of other sizes: left out
    write_page(tmp_path)
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "0.760 (0.750 to 0.770) [0.750, 0.770]" in page
    assert "-0.002" in page
    assert "1.00%" in page
    assert "## Few rows" in page
    assert "0.630" in page
    assert "0.1 " not in page
    table = pd.read_csv(tmp_path / TABLE)
    assert table["rows"].tolist().count("all") == 3
    assert set(table["task"]) == {"ctr", "next"}
    assert (table["minus full, high"] == 0.006).all()


def test_the_page_shows_likes_of_films_beside_published_figures(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for rows, figure in ((16, 0.51), (256, 0.53)):
        write(records, Cell("head", "likes", rows, 0), figure, 1e-3)
    write_page(tmp_path)
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")]
    table = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}
    assert table["head"] == ["0.510", "", "0.530"]
    assert table["TALLRec (published)"] == ["0.672", "0.675", "0.720"]
    assert table["SASRec (published there)"] == ["", "", "0.523"]


def test_likes_are_rows_of_films_with_the_ratings_before() -> None:
    films = ml_like(120)
    sizes = {"max_tokens": 192, "n_test": 50, "n_validation": 50}
    question = make_question("likes", films, TOKENIZER, **sizes)
    train = question.train(16, 0)
    assert len(train) == 16
    assert "Film" in TOKENIZER.decode([*train.written[-1]])
    assert "gave a rating of" in TOKENIZER.decode([*train.known[-1]])
    stars = films.interactions.set_index(["user_id", "item_id"])["value"]
    for (_, row), target in zip(train.about.iterrows(), train.target, strict=True):
        assert (stars[row["user_id"], row["item_id"]] >= 4) == target
    other = question.train(16, 1)
    assert other.about["timestamp"].tolist() != train.about["timestamp"].tolist()


def test_methods_with_small_weights_train_about_one_percent() -> None:
    for name in ABOUT_ONE_PERCENT:
        model = M6RecModel.from_pretrained(ROOT / "checkpoints" / "bazaar-m6rec")
        share = Adapted(model, METHODS[name][0], Scoring(96)).summary()["share"]
        assert 0.009 < share < 0.011, (name, share)


@pytest.mark.slow
def test_a_cell_is_measured_recorded_and_skipped(tmp_path: Path, capsys) -> None:
    shutil.copytree(ROOT / "checkpoints" / "bazaar-m6rec", tmp_path / "checkpoints/bazaar-m6rec")
    words = ["adapting", "--method", "full", "lora", "options", "--task", "ctr", "next"]
    words += ["--rows", "16", "--steps", "4", "--test-rows", "300", "--root", str(tmp_path)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "options, next rows=16 --steps 4 --test-rows 300, seed 0: needs a task with" in out
    frame = Records(tmp_path / "results").frame()
    assert len(frame) == 5
    assert (frame["ranks"] == "kept").sum() == 2
    assert main(words) == 0
    assert capsys.readouterr().out.count("recorded before") == 5
