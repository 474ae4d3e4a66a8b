"""Run the experiments behind the published results, and write the pages (``make results``).

    python -m experiments results
    python -m experiments results --only pages

Steps: the leaderboard rows of the stored lessons (``python -m m6rec_lite.course store``); lessons
at laptop scale on further data sets, with their rows; simple models on the bazaar, and on
MovieLens with reference results; the bazaar's data card; and the pages
(``experiments.pages``). A step skips what is recorded, so the command can be interrupted and
started again. Results whose data are missing are not changed. Long runs and M6-Rec's tasks have
commands of their own; their pages are written here.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from experiments import reference_results, simple_models
from experiments.pages import (
    adapting,
    architecture,
    bazaar_card,
    compressing,
    one_model,
    paper,
    pretrained_lm,
    results_page,
    retriever_card,
    retriever_page,
    teaching_page,
    worlds_card,
    zero_shot,
)
from experiments.pages import reference_results as reference_page
from experiments.pages.regions import region
from experiments.records import RANKING_FIGURES, Records, RunKey
from m6rec_lite.course.build import runner
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.course.paths import chapters
from m6rec_lite.data import DataError, leave_one_out, load_dataset
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json

SCALE = "laptop"
#: Lessons that are run for their rows, by data set; None for all.
LESSONS: dict[str, str | None] = {"ml-100k": "01,03,05,07,09,11,14"}
#: What the command of a row contains if a lesson wrote it.
LESSON_COMMANDS = ("m6rec_lite.course store", "m6rec_lite.course run")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--only", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP")


def run(options: argparse.Namespace) -> int:
    """Run the steps in order; return 1 if a lesson failed, whose rows are then not saved."""
    failed = 0
    for i, name in enumerate(options.only, 1):
        print(f"step {i} of {len(options.only)}: {name} ...", flush=True)
        clock = time.perf_counter()
        failed |= STEPS[name](options) or 0
        print(f"  {name}: {time.perf_counter() - clock:.0f} s", flush=True)
    return failed


def save_stored(options: argparse.Namespace) -> None:
    """Replace the lessons' rows on the bazaar's leaderboard by those of the stored lessons."""
    last = chapters(options.root / "notebooks")[-1].name[:2]
    lessons = Leaderboard(options.root / "runs" / "stored" / last / "leaderboard")
    made = lessons.frame("bazaar", scale=SCALE)
    if not len(made):
        print("  no lesson is stored on this machine: the rows are left as they are")
        return
    board = Leaderboard(options.root / "results" / "leaderboard")
    rows = board.frame("bazaar")
    by_lesson = rows["command"].astype(str).str.contains("|".join(LESSON_COMMANDS))
    kept = rows[~by_lesson].to_csv(index=False, float_format="%.12g")
    write_text(board.path("bazaar"), kept)
    save_rows(lessons, "bazaar", options.root / "results")


def run_lessons(options: argparse.Namespace) -> int:
    """Run the lessons that are not recorded, and save their leaderboard rows."""
    failed = 0
    records = Records(options.root / "results")
    for dataset, numbers in LESSONS.items():
        key = RunKey("results", dataset, "lessons", SCALE)
        report = records.folder(key) / "report.json"
        recorded = read_json(report)["lessons"] if report.is_file() and not options.again else {}
        names = [path.stem for path in chapters(options.root / "notebooks", numbers)]
        missing = [name for name in names if name not in recorded]
        if not missing or not _is_available(dataset):
            print(f"  {dataset}: {len(recorded)} lessons recorded before")
            continue
        out = options.root / "runs" / f"results-{dataset}"
        code = runner.run(
            scale=SCALE,
            dataset=dataset,
            numbers=",".join(name[:2] for name in missing),
            out=out,
            resume=not options.again,
            root=options.root,
            progress=not options.quiet,
        )
        failed |= code
        if code == 0:
            save_rows(Leaderboard(out / "leaderboard"), dataset, options.root / "results")
            seconds = pd.read_csv(out / "chapters.csv").set_index("chapter")["seconds"]
            recorded |= {name: seconds[name] for name in missing if name in seconds}
            records.start(key, command=options.command)
            records.finish(key, results_page.lessons_report(recorded))
    return failed


def save_rows(lessons: Leaderboard, dataset: str, results: Path) -> None:
    """Copy the rows of a run of the lessons to the leaderboard, and record those with ranks."""
    board, records = Leaderboard(results / "leaderboard"), Records(results)
    for row in lessons.frame(dataset, scale=SCALE).to_dict("records"):
        board.add(row)
        ranks = lessons.ranks_path(row)
        if ranks.is_file():
            key = RunKey("lessons", dataset, row["model"], row["variant"], row["seed"])
            records.start(key, command=row["command"], split_hash=row["split_hash"])
            metrics = {name: row[name] for name in RANKING_FIGURES}
            ends = {name: [row[f"{name}_low"], row[f"{name}_high"]] for name in metrics}
            records.finish(key, {"metrics": metrics, "intervals": ends}, ranks=ranks)


def run_reference_results(options: argparse.Namespace) -> None:
    """Run the simple models on each MovieLens data set that is available."""
    for dataset in reference_results.DATASETS:
        if _is_available(dataset):
            command = f"python -m experiments reference_results --dataset {dataset}"
            values = vars(options) | {"dataset": dataset, "seed": 0, "command": command}
            reference_results.run(argparse.Namespace(**values))


def run_simple_models(options: argparse.Namespace) -> None:
    """Record the simple models on the bazaar, with the ranks of their targets."""
    command = "python -m experiments simple_models --dataset bazaar"
    values = vars(options) | {"dataset": "bazaar", "seed": 0, "models": None, "command": command}
    simple_models.run(argparse.Namespace(**values))


def run_data_card(options: argparse.Namespace) -> None:
    """Measure the bazaars and write their cards, unless they describe these worlds already."""
    bazaar, page = load_dataset("bazaar"), options.root / "datasets" / "README.md"
    text = region(page, "bazaar card")
    facts = (f"World version {bazaar.card.version};", f"`{leave_one_out(bazaar).hash}`")
    if options.again or not all(fact in text for fact in facts):
        bazaar_card.write_card(bazaar, page, progress=not options.quiet)
    else:
        print("  the card describes this world already")
    if options.again or worlds_card.FACT not in region(page, worlds_card.REGION):
        worlds_card.write_card(bazaar, page, progress=not options.quiet)


def write_pages(options: argparse.Namespace) -> None:
    """Write every page from the records."""
    results = options.root / "results"
    for old, new in Records(results).rekey().items():
        print(f"  results/runs/{old} was renamed to {new}: its config changed")
    reference_page.write_page(results)
    paper.write_page(results)
    adapting.write_page(results)
    compressing.write_page(results)
    one_model.write_page(results)
    pretrained_lm.write_page(results)
    zero_shot.write_page(results)
    results_page.write_page(options.root)
    results_page.fill_readme(options.root)
    teaching_page.fill_teaching(options.root)
    retriever_card.write_card(options.root)
    retriever_page.write_page(results)
    architecture.write_architecture(options.root)


STEPS: dict[str, Callable[[argparse.Namespace], int | None]] = {
    "stored": save_stored,
    "lessons": run_lessons,
    "simple_models": run_simple_models,
    "reference_results": run_reference_results,
    "data_card": run_data_card,
    "pages": write_pages,
}


def _is_available(name: str) -> bool:
    """Return whether a data set can be read without a download."""
    options: dict[str, Any] = {"download": False} if name in reference_results.DATASETS else {}
    try:
        load_dataset(name, **options)
    except DataError as error:
        sys.stderr.write(f"{name} is skipped: {error}\n")
        return False
    return True
