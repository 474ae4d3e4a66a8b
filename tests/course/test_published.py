"""Ours beside the published networks: like with like, chosen on validation, every row sourced."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.course.comparison import (
    ITEMS,
    NOT_RUN,
    OURS,
    TEXT_ID_RETRIEVER,
    TEXT_RETRIEVER,
    as_markdown,
    chosen_on_validation,
    compare_with_published,
    tie_caveat,
)
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.paths import project_root
from m6rec_lite.evaluation.published import (
    LEAKING,
    PUBLISHED,
    TIME_AWARE,
    TIME_BLIND,
    PublishedResult,
    best_published,
)

RESULTS = project_root() / "results"


def add(
    results: Path, model: str, ndcg: float, *, variant: str = "", seed: int = 0,
    validation: float | None = None, dataset: str = "ml-1m",
) -> None:  # fmt: skip
    """Add a row to a leaderboard, and a report with its validation figure if there is one."""
    command = f"run {model} {variant} {seed}"
    row = {"dataset": dataset, "scale": "laptop", "split_hash": "abc", "model": model}
    row |= {"variant": variant, "seed": seed, "hr@10": 2 * ndcg, "ndcg@10": ndcg}
    row |= {"ndcg@10_low": ndcg - 0.01, "ndcg@10_high": ndcg + 0.01}
    Leaderboard(results / "leaderboard").add(
        row | {"fit_seconds": 60 * (seed + 1)}, command=command
    )
    if validation is not None:
        folder = results / "runs" / f"{dataset}-{model}-{variant}-{seed}"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"command": command}))
        (folder / "report.json").write_text(json.dumps({"validation ndcg@10": validation}))


def tuned(results: Path, rows: dict[str, str], dataset: str = "ml-1m") -> None:
    """Write the table of ``reference/``: entry -> settings that validation chose."""
    folder = results / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"entry": list(rows), "settings": list(rows.values())})
    frame.to_csv(folder / f"{dataset}.csv", index=False)


def ours(results: Path) -> pd.DataFrame:
    table = compare_with_published(results, "ml-1m")
    return table[table["source"] == OURS].set_index(["model", "knows"])


# Published rows


def test_the_best_time_blind_network_is_sasrec_with_many_negatives() -> None:
    blind, aware = best_published("ml-1m"), best_published("ml-1m", TIME_AWARE)
    assert (blind.hr, blind.ndcg) == (0.3159, 0.1857)
    assert "3,000 negatives" in blind.model
    assert (aware.hr, aware.ndcg) == (0.3642, 0.2164)
    assert best_published("bazaar") is None


def test_hstu_reads_the_query_time_unless_it_says_otherwise() -> None:
    rows = [f for f in PUBLISHED["ml-1m"] if "HSTU" in f.model or "FuXi" in f.model]
    assert len(rows) == 6
    for figure in rows:
        assert figure.knows == (TIME_BLIND if "without time" in figure.model else TIME_AWARE)


def test_rows_whose_order_leaks_are_set_apart_and_never_the_best() -> None:
    leaks = [f for f in PUBLISHED["ml-1m"] if f.ties == LEAKING]
    assert {f.ndcg for f in leaks} == {0.1930, 0.1902}
    assert max(f.ndcg for f in leaks) > best_published("ml-1m").ndcg
    table = compare_with_published(RESULTS, "ml-1m")
    assert (table[table["NDCG@10"].notna()].tail(2)["ties"] == LEAKING).all()


@pytest.mark.parametrize("figure", [f for rows in PUBLISHED.values() for f in rows], ids=str)
def test_every_published_row_states_its_protocol_and_links_its_source(
    figure: PublishedResult,
) -> None:
    assert figure.knows in {TIME_BLIND, TIME_AWARE}
    assert figure.ties
    assert figure.items in {3416, 3706, None}
    links = re.findall(r"\[([\w.-]+/[\w.-]+)\]\(https://github\.com/\1\)", figure.cited)
    assert links == figure.source.split(", ")
    assert ("second-hand" in figure.cited) == figure.second_hand
    if figure.lowest:
        assert figure.lowest[0] < figure.hr
        assert figure.lowest[1] < figure.ndcg


def test_where_sources_differ_the_whole_range_is_shown() -> None:
    page = as_markdown(compare_with_published(RESULTS, "ml-1m"))
    bce = next(line for line in page.splitlines() if "binary cross-entropy" in line)
    assert "| 0.1993 to 0.2500 | 0.1078 to 0.1341 |" in bce
    bert = next(line for line in page.splitlines() if "replications" in line)
    assert "| 0.2820 to 0.2920 | 0.1520 to 0.1620 |" in bert


# Ours


def test_validation_chooses_and_not_the_test_figure(tmp_path: Path) -> None:
    add(tmp_path, "SASRec", 0.19, variant="wide", validation=0.15)
    add(tmp_path, "SASRec", 0.18, variant="deep", validation=0.17)
    add(tmp_path, "SASRec", 0.17, variant="last", validation=0.16)
    row = ours(tmp_path).loc[("SASRec", TIME_BLIND)]
    assert row["NDCG@10"] == 0.18
    assert row["variant"] == "deep"


def test_without_a_validation_figure_the_tuned_settings_stay_and_else_all(tmp_path: Path) -> None:
    for variant, ndcg in (("decay=0.8", 0.107), ("decay=0.9", 0.103), ("l2=100.0", 0.07)):
        add(tmp_path, "EASE", ndcg, variant=variant)
    add(tmp_path, "SASRec", 0.2, variant="a", validation=0.1)
    add(tmp_path, "SASRec", 0.1, variant="b")  # not recorded: the two cannot be compared
    assert len(ours(tmp_path)) == 5
    tuned(tmp_path, {"EASE": "l2=100.0", "EASE decay": "decay=0.9"})
    rows = ours(tmp_path).reset_index()
    assert set(rows[rows["model"] == "EASE"]["variant"]) == {"l2=100.0", "decay=0.9"}
    assert set(rows[rows["model"] == "SASRec"]["variant"]) == {"a", "b"}
    page = as_markdown(compare_with_published(tmp_path, "ml-1m"))
    assert "| EASE (decay=0.9) |" in page  # several settings are named
    assert "| EASE (decay=0.8) |" not in page


def test_seeds_are_averaged_and_reading_and_query_time_are_told_apart(tmp_path: Path) -> None:
    for seed in range(3):
        add(tmp_path, "M6RecRetriever", 0.19 + 0.01 * seed, seed=seed, variant="epochs=3")
    add(tmp_path, "M6RecRetriever", 0.22, variant="use_query_time=True epochs=3")
    add(tmp_path, "M6RecRetriever", 0.15, variant="item_input=text")
    add(tmp_path, "Popularity", 0.03, variant="half_life_days=30 relative_to=at")
    add(tmp_path, "ItemKNN", 0.5)
    rows = ours(tmp_path)
    one = rows.loc[(TEXT_ID_RETRIEVER, TIME_BLIND)]
    assert one["seeds"] == 3
    np.testing.assert_allclose(one[["NDCG@10", "low", "high"]].astype(float), [0.2, 0.18, 0.22])
    assert one["minutes"] == 2
    assert rows.loc[(TEXT_RETRIEVER, TIME_BLIND), "NDCG@10"] == 0.15
    assert rows.loc[(TEXT_ID_RETRIEVER, TIME_AWARE), "NDCG@10"] == 0.22
    assert rows.loc[("Popularity", TIME_AWARE), "NDCG@10"] == 0.03
    assert ("ItemKNN", TIME_BLIND) not in rows.index
    assert (rows["ties"] == "file order").all()
    assert (rows["items"] == 3416).all()


def test_the_table_is_grouped_by_protocol_best_first(tmp_path: Path) -> None:
    add(tmp_path, "SASRec", 0.5)
    table = compare_with_published(tmp_path, "ml-1m")
    table = table[table["NDCG@10"].notna()]
    group = np.where(table["ties"] == LEAKING, 2, table["knows"] == TIME_AWARE)
    assert (np.diff(group) >= 0).all()
    for one in np.unique(group):
        assert table.loc[group == one, "NDCG@10"].is_monotonic_decreasing
    assert table["model"].iloc[0] == "SASRec"


def test_what_was_not_run_has_no_figure_and_a_chapter_adds_its_rows(tmp_path: Path) -> None:
    add(tmp_path, "SASRec", 0.18)
    here = {"model": "IALS", "HR@10": 0.1, "NDCG@10": 0.05, "source": "this run"}
    table = compare_with_published(tmp_path, "ml-1m", ("SASRec", "GRU4Rec"), [here])
    missing = table[table["source"] == NOT_RUN]
    assert missing["model"].tolist() == ["GRU4Rec"]
    assert missing[["HR@10", "NDCG@10", "seeds"]].isna().all(axis=None)
    one = table[table["model"] == "IALS"].iloc[0]
    assert (one["knows"], one["ties"], one["items"]) == (TIME_BLIND, "file order", 3416)
    nothing = compare_with_published(tmp_path / "empty", "ml-1m")
    assert (nothing["source"] == NOT_RUN).sum() == 9


def test_the_caveat_says_what_ties_alone_do(tmp_path: Path) -> None:
    assert "different protocol" in tie_caveat(tmp_path, "ml-1m")
    (tmp_path / "reference").mkdir()
    rows = {"entry": ["Bigram", "Bigram", "EASE"], "ndcg@10": [0.11, 0.13, 0.5]}
    pd.DataFrame(rows).to_csv(tmp_path / "reference" / "ml-1m-ties.csv", index=False)
    assert "between 0.1100 and 0.1300" in tie_caveat(tmp_path, "ml-1m")


# The committed results


def test_ease_of_movielens_100k_is_the_one_that_validation_chose() -> None:
    rows = chosen_on_validation(RESULTS, "ml-100k", ["EASE"])
    assert dict(zip(rows["variant"], rows["ndcg@10"].round(4), strict=True)) == {
        "decay=0.9": 0.1031, "l2=100.0": 0.0737,
    }  # fmt: skip


def test_our_sasrec_of_movielens_1m_has_the_best_validation_figure() -> None:
    board = Leaderboard(RESULTS / "leaderboard").latest("ml-1m", scale="laptop")
    assert (board["model"] == "SASRec").sum() > 1
    row = chosen_on_validation(RESULTS, "ml-1m", ["SASRec"])
    assert len(row) == 1
    index = pd.read_csv(RESULTS / "runs.csv")
    same = (index["model"] == "SASRec") & (index["dataset"] == "ml-1m")
    reports = [RESULTS / "runs" / name / "report.json" for name in index["id"][same]]
    figures = [json.loads(path.read_text())["validation ndcg@10"] for path in reports]
    assert row["validation"].iloc[0] == max(figures)


@pytest.mark.parametrize("dataset", sorted(ITEMS))
def test_the_number_of_items_is_the_catalogue_of_our_split(dataset: str) -> None:
    board = Leaderboard(RESULTS / "leaderboard").latest(dataset, scale="laptop")
    plain = board[(board["model"] == "Popularity") & (board["variant"] == "")]
    assert plain["n_params"].iloc[0] == ITEMS[dataset]  # one count an item


def test_chapters_choose_no_settings_by_their_test_figure() -> None:
    """No chapter sorts a recorded leaderboard and keeps one row of a model."""
    for path in sorted((project_root() / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        one_of_a_model = re.compile(r"(drop_duplicates|groupby)\([^)]*\"model\"")
        chosen = [c for c in code if one_of_a_model.search(c) and 'sort_values("ndcg@10"' in c]
        assert not chosen, f"{path.name} keeps the best row on test: {chosen[0][:200]}"
