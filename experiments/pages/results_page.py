"""The page ``docs/results.md``, and the generated regions of the README."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from experiments.pages import boards, filter_tables, paper, people, reference_results, reliability
from experiments.pages.paper_readers import NETWORKS
from experiments.pages.paper_rule import FAILS, HOLDS, NOT_TRIED
from experiments.pages.regions import fill
from m6rec_lite.course.build.execute_in_place import FACTS
from m6rec_lite.course.build.notebooks import read_notebook
from m6rec_lite.course.build.staleness import METADATA
from m6rec_lite.course.comparison import (
    OURS,
    RETRIEVER,
    TEXT_ID_RETRIEVER,
    as_markdown,
    compare_with_published,
    tie_caveat,
)
from m6rec_lite.course.leaderboard import ORACLE, Leaderboard
from m6rec_lite.course.paths import chapters
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation.published import TIME_AWARE, TIME_BLIND, best_published
from m6rec_lite.evaluation.report import markdown_table

PAGE = Path("docs") / "results.md"
SCALE = "laptop"

_INTRODUCTION = """# Results

The tables of this page are written by code (`python -m experiments results --only pages`) from the
files of `results/`; the records contain the command that produced each row.

## The bazaar

The simulated data set: one test item for each user, ranked among all items that the user has not
seen. Two rows are not trained on it: the oracle knows the user's preferences, the hidden intents
and the query time, and is an upper bound; the Bayes filter knows the rules of the world, and infers
the rest from the observed events ([below](#what-can-be-known-of-a-shopper-the-bayes-filter)). Rows
with `mask_history=False` are networks that were trained without leaving the items of the history
out of the softmax. *Best epoch* has the highest NDCG@10 on validation; where it is the last, the
model was still rising. *Seconds to fit* do not include the pretraining of a checkpoint, each on one
core: 2,105 s for `bazaar-gpt` (used by TitleLikelihood), 1,396 s for `bazaar-bert` (used by both
fusions of ItemVectors), 1,479 s for `bazaar-m6rec` (used by the M6RecRetriever whose variant names
it).
"""

_LARGE = """The same world with ten times the people: the first 4,600 are those of the bazaar, the
items are the same. Models are trained on the rows of all people, and every user has a test
question. The Bayes filter answers a random sample of them."""

_WIDE = """Another world with about as many people as the bazaar, and more than six times the items.
The Bayes filter answers a random sample of the questions."""

_REAL = """
## MovieLens-1M

Leave-one-out with ranking of all unseen items: our models and published networks. A model that
uses the *query time*, which in this split is the target's timestamp, is compared with models that
use it too. Time-blind rows come first, then time-aware ones, then two whose order of ties leaks
the target; our settings were selected on validation.
"""

_FILES = """
## Where results come from

- [runs.csv](../results/runs.csv) lists every recorded run; `results/runs/<id>/` contains its
  settings (`config.json`), its metrics with intervals (`report.json`), its history
  (`metrics.jsonl`) and the rank of each test target (`ranks.npz`). Runs with *not kept* in the
  column `ranks` are older than the file of ranks, and have none until they are run again. Any two
  runs on one data set that have ranks are compared by `python -m experiments compare ID ID`,
  without training.
- `results/leaderboard/` contains one row for each model, with the hash of its test set.
- [reference_results.md](../results/reference_results.md) compares published and independently
  measured results on MovieLens with ours, with the reason for each difference.
- [paper_against_ours.md](../results/paper_against_ours.md) compares the claims of M6-Rec with our
  results, with a verdict by one rule.
- [pretrained_retriever.md](../results/pretrained_retriever.md) shows what the pretrained retriever
  is worth in a shop with few people, and what each option of the retriever changes.
- [adapting.md](../results/adapting.md) compares the methods that adapt M6-Rec with few weights, and
  [pretrained_lm.md](../results/pretrained_lm.md) shows M6-Rec on a real pretrained language model.
- [one_model.md](../results/one_model.md) compares one checkpoint for seven tasks with a model for
  each task and with new weights; [zero_shot.md](../results/zero_shot.md) ranks lists without any
  training.
- `results/clicks/`, `tasks/`, `new_domain/` and `scaling/` contain tables of M6-Rec's tasks, click
  models and pretraining runs, with their baselines.
- `python -m experiments --list` lists the experiments. `make results` runs what is missing, skips
  what is recorded, and writes the pages.
"""


def write_page(root: Path) -> Path:
    """Draw the figures and write ``docs/results.md``; return its path."""
    results = root / "results"
    parts = [
        _INTRODUCTION,
        boards.draw(root, "bazaar"),
        markdown_table(boards.board_table(results, "bazaar")),
        "",
        filter_tables.section(results),
        people.section(results),
        boards.section(root, "bazaar-large", _LARGE),
        boards.section(root, "bazaar-wide", _WIDE),
        _REAL,
        real_table(results),
        _FILES,
        reliability.number_bound(results),
        "",
    ]
    people.draw(root)
    path = root / PAGE
    path.parent.mkdir(exist_ok=True)
    write_text(path, "\n".join(parts))
    return path


def real_table(results: Path) -> str:
    """Return our models and the published networks on MovieLens-1M, grouped by protocol."""
    rows = compare_with_published(results, "ml-1m")
    shown = as_markdown(rows[rows["NDCG@10"].notna()])
    notes = [reference_results.INTERPOLATED, exact_note(results), reference_results.NO_RANKS]
    return "\n\n".join([shown, tie_caveat(results, "ml-1m"), " ".join(filter(None, notes))])


def exact_note(results: Path) -> str:
    """Return a sentence on the time-aware simple model by users with exact timestamps."""
    rows = reference_results.exact_users(results)
    if not len(rows):
        return ""
    aware = rows[rows["knows"] == TIME_AWARE]
    figures = [
        f"{row['ndcg@10']:.4f} over {row['n_users']:,} users ({row['users']})"
        for _, row in aware.iterrows()
    ]
    return (
        f"NDCG@10 of popularity with the query time: {', '.join(figures)} "
        f"([more models](../results/{reference_results.PAGE}))."
    )


def lessons_report(seconds: Mapping[str, float | None]) -> dict[str, Any]:
    """Return the report of a run of the lessons, from the seconds of each (None if unknown)."""
    known = [value for value in seconds.values() if value is not None]
    headline: dict[str, Any] = {"lessons": f"{len(seconds)} finished"}
    if len(known) == len(seconds):
        headline["minutes"] = sum(known) / 60
    return {"headline": headline, "lessons": dict(seconds)}


def fill_readme(root: Path) -> None:
    """Fill the region ``headline`` of the README, and the table of ``docs/lessons.md``."""
    fill(root / "README.md", "headline", headline(root))
    fill(root / "docs" / "lessons.md", "chapters", markdown_table(chapter_table(root)))


def headline(root: Path) -> str:
    """Return the main results for the README."""
    results = root / "results"
    board = Leaderboard(results / "leaderboard").latest("bazaar", scale=SCALE)
    board = board.sort_values("ndcg@10", ascending=False)
    top, models = board[board["model"] == ORACLE], board[board["model"] != ORACLE]
    pretrained = models[models["variant"].fillna("").str.contains(boards.PRETRAINED)]
    models = boards.of_own_rows(models)
    best, plain = models.iloc[0], models[models["model"] == "Popularity"].iloc[0]
    share = best["ndcg@10"] / top["ndcg@10"].iloc[0]
    elsewhere = "".join(
        f"; M6-Rec's retriever, pretrained on 41,400 other people, {value:.3f}"
        for value in pretrained["ndcg@10"].iloc[:1]
    )
    real = compare_with_published(results, "ml-1m")
    ours = real[(real["source"] == OURS) & (real["knows"] == TIME_BLIND)].set_index("model")
    rows = Leaderboard(results / "leaderboard").latest("ml-1m", scale=SCALE)
    simple = rows[~rows["model"].isin([*NETWORKS, RETRIEVER])]
    simple = simple.loc[simple["ndcg@10"].idxmax()]
    published = best_published("ml-1m")
    assert published is not None
    verdicts = Counter(claim.verdict(results) for claim in paper.CLAIMS)
    holds = f"{verdicts[HOLDS]} hold{'s' if verdicts[HOLDS] == 1 else ''}"
    undecided = f"{verdicts[paper.UNDECIDED]} undecided, " * (verdicts[paper.UNDECIDED] > 0)
    counts = f"{holds}, {verdicts[FAILS]} do not, {undecided}{verdicts[NOT_TRIED]} not tried"
    return "\n".join(
        [
            f"- **Bazaar**, NDCG@10: popularity {plain['ndcg@10']:.3f}, the best model trained on "
            f"its rows ({best['model']} {best['variant']}) {best['ndcg@10']:.3f}, the oracle "
            f"{top['ndcg@10'].iloc[0]:.3f}: {share:.0%} of it{elsewhere}. "
            f"{people.headline(results)}".strip(),
            f"- **MovieLens-1M**, NDCG@10, full ranking, without the query time: the "
            f"best simple model ({simple['model']}) {simple['ndcg@10']:.4f}, SASRec "
            f"{ours.loc['SASRec', 'NDCG@10']:.4f}, {TEXT_ID_RETRIEVER} "
            f"{ours.loc[TEXT_ID_RETRIEVER, 'NDCG@10']:.4f}; the "
            "best published network that we know of, with another order of tied timestamps, "
            f"{published.ndcg:.4f}.",
            f"- **The paper's {len(paper.CLAIMS)} claims**, by stated rules: {counts} "
            f"([each with its evidence](results/{paper.PAGE})).",
            f"- All tables, and the command of every row: [{PAGE.as_posix()}]({PAGE.as_posix()}).",
        ]
    )


def chapter_table(root: Path) -> pd.DataFrame:
    """Return the table of lessons: title, reading time, run time, memory and exercises."""
    rows = []
    for path in chapters(root / "notebooks"):
        notebook = read_notebook(path)
        facts = notebook.metadata[METADATA][FACTS]
        title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
        rows.append(
            {
                "lesson": f"[{title}](../notebooks/{path.name})",
                "minutes to read": facts["minutes"],
                "seconds, smoke": facts["seconds"]["smoke"],
                "seconds, laptop": facts["seconds"][SCALE],
                "peak MiB": max(facts["peak_mib"].values()),
            }
        )
    return pd.DataFrame(rows)
