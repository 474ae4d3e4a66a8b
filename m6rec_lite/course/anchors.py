"""Our simple models on real MovieLens rows, beside figures measured elsewhere.

    python -m m6rec_lite.course.anchors --dataset ml-100k

tunes every entry of ``entries`` on validation (NDCG@10 over the grid that stands there), judges the
winner on test, and asks why a figure differs from the one elsewhere, by measuring it again under
other circumstances: at the settings the source states, fitted on train plus validation, and with
other orders of the rows that share a user and a timestamp. Writes ``results/anchors/<dataset>.csv``
and ``<dataset>-ties.csv``, ``results/anchors.md`` from all of these, and leaderboard rows.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from m6rec_lite.course.anchors_page import write_page
from m6rec_lite.course.leaderboard import Leaderboard, write_text
from m6rec_lite.course.long_runs import settings as read_settings
from m6rec_lite.course.places import project_root
from m6rec_lite.course.published import SIMPLE, Figure
from m6rec_lite.data import Dataset, Interactions, Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import Report, evaluate, measure_fit
from m6rec_lite.recommenders import (
    BPR,
    EASE,
    IALS,
    Bigram,
    ContentBased,
    ItemKNN,
    Markov,
    Popularity,
    Recommender,
    UserKNN,
)

logger = logging.getLogger(__name__)

DATASETS = ("ml-100k", "ml-1m")
METRIC = "ndcg@10"

#: Users whose validation questions tune the settings, at most; drawn once, by the seed.
TUNING_USERS = 3000

SHUFFLES = 3

#: Entries that take long to fit: the others show well enough what the order of ties does.
SLOW = ("IALS", "BPR")


def grid(kind: type[Recommender], **values: Sequence[Any]) -> list[Recommender]:
    """One unfitted model for each combination of the given settings."""
    return [
        kind(**dict(zip(values, combination, strict=True)))
        for combination in itertools.product(*values.values())
    ]


def entries() -> dict[str, list[Recommender]]:
    """What is measured: the name of an entry, and the settings among which validation chooses."""
    decays = (0.9, 0.8, 0.7, 0.6)
    knn = {"k": (20, 100, 200, 400), "shrink": (0.0, 10.0, 50.0)}
    ease = {"l2": (100.0, 300.0, 1000.0, 3000.0)}
    ials = {"factors": (64, 128), "regularization": (10.0, 20.0, 60.0), "alpha": (0.5,)}
    return {
        "Popularity": [Popularity()],
        "Popularity, as known at the moment": grid(
            Popularity, half_life_days=(1, 7, 30, 90, 365), relative_to=("at",)
        ),
        "ContentBased": [ContentBased()],
        "ContentBased decay": grid(ContentBased, decay=decays),
        "UserKNN": grid(UserKNN, k=(50, 100, 200, 400)),
        "UserKNN decay": grid(UserKNN, k=(50, 100, 200), decay=(0.95, 0.9, 0.8)),
        "ItemKNN": grid(ItemKNN, **knn),
        "ItemKNN decay": grid(ItemKNN, **knn, decay=decays),
        "EASE": grid(EASE, **ease),
        "EASE decay": grid(EASE, **ease, decay=decays),
        "Bigram": [Bigram()],
        "Markov": grid(
            Markov,
            smoothing=("absolute-discounting", "kneser-ney"),
            weight=(0.3, 0.6, 1.0),
            decay=(0.8, 0.7, 0.6),
        ),
        "IALS": grid(IALS, **ials),
        "IALS decay": grid(IALS, **ials, decay=decays),
        "BPR": grid(BPR, regularization=(0.002, 0.005, 0.01), epochs=(30,)),
    }


def fit_each(models: list[Recommender], split: Split, items: pd.DataFrame) -> Iterator[Recommender]:
    """The models, fitted; those that differ only in a decay used in scoring share one fit."""
    shared: dict[str, Recommender] = {}
    for model in models:
        params = model.get_params()
        if "decay" not in params or isinstance(model, UserKNN):  # which decays its neighbours too
            yield model.fit(split.train, items=items, progress=False)
            continue
        key = repr(params | {"decay": None})
        if key not in shared:
            shared = {key: model.fit(split.train, items=items, progress=False)}
        fitted = copy.copy(shared[key])
        fitted.decay = params["decay"]
        yield fitted


def tune(models: list[Recommender], split: Split, items: pd.DataFrame, seed: int) -> Recommender:
    """The settings with the best NDCG@10 on validation, as an unfitted model; the first of equals.

    At most ``TUNING_USERS`` users are asked, the same ones for every model.
    """
    if len(models) == 1:
        return models[0]
    n = len(split.validation)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:TUNING_USERS])
    asked = replace(split, validation=split.validation[rows])
    found = [
        (_judge(model, asked, on="validation")[METRIC], model.get_params())
        for model in fit_each(models, split, items)
    ]
    _, params = max(found, key=lambda pair: pair[0])
    return type(models[0])(**params)


def tie_orders(rows: pd.DataFrame, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """The same rows in orders that differ only among rows of one user at one second."""
    yield "file", rows
    yield "file reversed", rows.iloc[::-1]
    by = ["user_id", "timestamp", "item_id"]
    yield "item id", rows.sort_values(by)
    yield "item id, falling", rows.sort_values(by, ascending=[True, True, False])
    rng = np.random.default_rng(seed)
    for n in range(SHUFFLES):
        yield f"shuffled {n + 1}", rows.iloc[rng.permutation(len(rows))]


def with_validation(split: Split) -> Interactions:
    """Train plus the validation targets: all that is known when the test questions are asked."""
    known = split.test.histories
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(known.user_ids, known.lengths),
            "item_id": known.item_ids[known.items],
            "timestamp": known.timestamps,
        }
    )
    return Interactions.from_frame(frame, item_ids=split.item_ids)


def measure(dataset: Dataset, *, seed: int, progress: bool = True) -> tuple[pd.DataFrame, list]:
    """Tune and judge every entry.

    Returns:
        a table, one row an entry; and the reports, in the same order.
    """
    split = leave_one_out(dataset)
    known = with_validation(split)
    elsewhere = SIMPLE.get(dataset.name, {})
    rows, reports = [], []
    work = entries()
    with tqdm(total=len(work), disable=not progress, leave=False) as bar:
        for name, models in work.items():
            bar.set_description(f"{dataset.name}: {name}")
            model = tune(models, split, dataset.items, seed)
            cost = measure_fit(model, split, items=dataset.items, progress=False)
            report = evaluate(model, split, fit_cost=cost, seed=seed, progress=False)
            theirs = elsewhere.get(name)
            row = _row(name, model, report, theirs, split)
            if theirs is not None:
                if theirs.settings:
                    stated = type(model)(**theirs.settings)
                    stated.fit(split.train, items=dataset.items, progress=False)
                    row |= _pair("at_their_settings", _judge(stated, split))
                again = type(model)(**model.get_params())
                again.fit(known, items=dataset.items, progress=False)
                row |= _pair("fitted_with_validation", _judge(again, split))
            rows.append(row)
            reports.append(report)
            bar.update()
    return pd.DataFrame(rows), reports


def measure_ties(
    dataset: Dataset, table: pd.DataFrame, *, seed: int, progress: bool = True
) -> pd.DataFrame:
    """The entries that have a figure elsewhere, under every order of ``tie_orders``.

    The ``SLOW`` ones are left out. Each is fitted at the settings the source states, or at ours
    where it states none.
    """
    elsewhere = {k: v for k, v in SIMPLE.get(dataset.name, {}).items() if k not in SLOW}
    settings = table.set_index("entry")["settings"].to_dict()
    first = leave_one_out(dataset)
    asked = list(tie_orders(dataset.interactions, seed))
    rows = []
    with tqdm(total=len(asked) * len(elsewhere), disable=not progress, leave=False) as bar:
        for order, interactions in asked:
            split = leave_one_out(replace(dataset, interactions=interactions))
            changed = float(np.mean(split.test.targets != first.test.targets))
            for name, theirs in elsewhere.items():
                bar.set_description(f"{dataset.name}, ties by {order}: {name}")
                kind = type(entries()[name][0])
                model = kind(**(theirs.settings or read_settings(settings[name].split())))
                model.fit(split.train, items=dataset.items, progress=False)
                report = _judge(model, split)
                rows.append(
                    {"order": order, "entry": name, "targets_changed": changed}
                    | {key: report[key] for key in ("hr@10", METRIC)}
                )
                bar.update()
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see the top of this file."""
    parser = argparse.ArgumentParser(
        prog="python -m m6rec_lite.course.anchors", description="Simple models beside the figures"
    )
    parser.add_argument("--dataset", choices=DATASETS, required=True)
    parser.add_argument("--results", type=Path, default=None, help="folder to write to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)
    folder = options.results or project_root() / "results"
    command = f"python -m m6rec_lite.course.anchors --dataset {options.dataset}"
    command += f" --seed {options.seed}" if options.seed else ""
    dataset = load_dataset(options.dataset)
    progress = not options.quiet
    table, reports = measure(dataset, seed=options.seed, progress=progress)
    ties = measure_ties(dataset, table, seed=options.seed, progress=progress)
    table["command"] = command
    for name, frame in ((options.dataset, table), (f"{options.dataset}-ties", ties)):
        text = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
        write_text(folder / "anchors" / f"{name}.csv", text)
    board = Leaderboard(folder / "leaderboard")
    for report in reports:
        board.add(report, scale="laptop", seed=options.seed, command=command)
    page = write_page(folder)
    shown = table[["entry", "settings", "hr@10", METRIC, "theirs_hr@10", f"theirs_{METRIC}"]]
    print(shown.round(4).to_string(index=False, na_rep=""))
    print(f"written: {page}")
    return 0


def _judge(model: Recommender, split: Split, on: str = "test") -> Report:
    return evaluate(model, split, k=10, on=on, bootstrap=0, progress=False)


def _row(
    name: str, model: Recommender, report: Report, theirs: Figure | None, split: Split
) -> dict[str, Any]:
    """One row of the table: ours, its interval, its cost, and the figure elsewhere."""
    row: dict[str, Any] = {
        "dataset": split.dataset,
        "split_hash": split.hash,
        "entry": name,
        "settings": model.variant,
        "n_users": report.n_users,
        "tuning_users": min(len(split.validation), TUNING_USERS),
    }
    for metric in ("hr@10", METRIC):
        row[metric] = report[metric]
        row[f"{metric}_low"], row[f"{metric}_high"] = report.intervals[metric]
    row |= {key: report.costs[key] for key in ("fit_seconds", "predict_seconds", "n_params")}
    if theirs is not None:
        row |= {"theirs": theirs.model, "theirs_hr@10": theirs.hr, f"theirs_{METRIC}": theirs.ndcg}
        row["their_settings"] = " ".join(f"{k}={v:g}" for k, v in theirs.settings.items())
    return row


def _pair(name: str, report: Report) -> dict[str, float]:
    return {f"{name}_{metric}": report[metric] for metric in ("hr@10", METRIC)}


if __name__ == "__main__":
    raise SystemExit(main())
