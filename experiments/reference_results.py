"""Compare simple models on MovieLens with reference results, and explain the differences.

    python -m experiments reference_results --dataset ml-100k

tunes every entry of ``entries`` on validation (NDCG@10 over its grid) and evaluates the best on
test. To explain a difference it is evaluated again with the settings of the reference, fitted on
train plus validation, and with other orders of the rows that share a user and a timestamp. Writes
``results/reference/<dataset>.csv`` and ``<dataset>-ties.csv``, leaderboard rows, and a record of
each entry. A recorded entry is skipped; one with a row but without a record of its ranks is fitted
again with the settings of its row.
"""

from __future__ import annotations

import argparse
import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from experiments.arguments import read_settings
from experiments.records import Records, RunKey, summary
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.data import Dataset, Interactions, Split, leave_one_out, load_dataset
from m6rec_lite.data.result_files import has_row, read_rows, upsert_rows
from m6rec_lite.evaluation import Report, evaluate, measure_fit
from m6rec_lite.evaluation.published import SIMPLE_MODELS, PublishedResult
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

DATASETS = ("ml-100k", "ml-1m")
METRIC = "ndcg@10"

#: Maximum number of users for tuning on validation; sampled once by the seed.
TUNING_USERS = 3000

SHUFFLES = 3

#: Variant of the records; the selected settings are known only after tuning.
TUNED = "tuned on validation"

#: Tolerance of a model's metrics between machines, due to the order of summation.
TOLERANCE = 2e-5

#: Entries that are slow to fit, which are not evaluated with other orders of ties.
SLOW = ("IALS", "BPR")


def grid(kind: type[Recommender], **values: Sequence[Any]) -> list[Recommender]:
    """Return one unfitted model for each combination of the settings."""
    return [
        kind(**dict(zip(values, combination, strict=True)))
        for combination in itertools.product(*values.values())
    ]


def entries() -> dict[str, list[Recommender]]:
    """Return the grid of models of each entry, by name."""
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
    """Fit the models in turn; those that differ only in the decay of their scores share one fit."""
    shared: dict[str, Recommender] = {}
    for model in models:
        params = model.get_params()
        if "decay" not in params or isinstance(model, UserKNN):  # its decay affects the fit
            yield model.fit(split.train, items=items, progress=False)
            continue
        key = repr(params | {"decay": None})
        if key not in shared:
            shared = {key: model.fit(split.train, items=items, progress=False)}
        fitted = copy.copy(shared[key])
        fitted.decay = params["decay"]  # type: ignore[attr-defined]  # models with this parameter
        yield fitted


def tune(models: list[Recommender], split: Split, items: pd.DataFrame, seed: int) -> Recommender:
    """Return the unfitted model with the best NDCG@10 on validation; the first of equals.

    At most ``TUNING_USERS`` users are evaluated, the same ones for every model.
    """
    if len(models) == 1:
        return models[0]
    n = len(split.validation)
    rows = np.sort(np.random.default_rng(seed).permutation(n)[:TUNING_USERS])
    sample = replace(split, validation=split.validation[rows])
    results = [
        (_evaluate(model, sample, on="validation")[METRIC], model.get_params())
        for model in fit_each(models, split, items)
    ]
    _, params = max(results, key=lambda pair: pair[0])
    return type(models[0])(**params)


def tie_orders(rows: pd.DataFrame, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows in several orders, to change the order of equal timestamps of a user."""
    yield "file", rows
    yield "file reversed", rows.iloc[::-1]
    by = ["user_id", "timestamp", "item_id"]
    yield "item id", rows.sort_values(by)
    yield "item id, falling", rows.sort_values(by, ascending=[True, True, False])
    rng = np.random.default_rng(seed)
    for n in range(SHUFFLES):
        yield f"shuffled {n + 1}", rows.iloc[rng.permutation(len(rows))]


def with_validation(split: Split) -> Interactions:
    """Return the training rows and the validation targets: everything before the test targets."""
    histories = split.test.histories
    frame = pd.DataFrame(
        {
            "user_id": np.repeat(histories.user_ids, histories.lengths),
            "item_id": histories.item_ids[histories.items],
            "timestamp": histories.timestamps,
        }
    )
    return Interactions.from_frame(frame, item_ids=split.item_ids)


def measure(
    name: str, models: list[Recommender], split: Split, items: pd.DataFrame, *, seed: int
) -> tuple[dict[str, Any], Report, Recommender]:
    """Tune and evaluate one entry.

    Returns:
        Its row of the table, its report, and the fitted model.
    """
    model = tune(models, split, items, seed)
    report = fit_and_report(model, split, items, seed=seed)
    reference = SIMPLE_MODELS.get(split.dataset, {}).get(name)
    row = _row(name, model, report, reference, split)
    if reference is not None:
        if reference.settings:
            stated = type(model)(**reference.settings)
            stated.fit(split.train, items=items, progress=False)
            row |= _pair("at_their_settings", _evaluate(stated, split))
        refitted = type(model)(**model.get_params())
        refitted.fit(with_validation(split), items=items, progress=False)
        row |= _pair("fitted_with_validation", _evaluate(refitted, split))
    return row, report, model


def fit_and_report(model: Recommender, split: Split, items: pd.DataFrame, *, seed: int) -> Report:
    """Fit a model and return its test report with costs and intervals."""
    cost = measure_fit(model, split, items=items, progress=False)
    return evaluate(model, split, fit_cost=cost, seed=seed, progress=False)


def measure_ties(
    dataset: Dataset, path: Path, settings: Mapping[str, str], *, seed: int, again: bool
) -> None:
    """Evaluate the entries with a reference, except the ``SLOW`` ones, in all ``tie_orders``.

    Each is fitted with the settings of the reference, or with ours if they are not stated. Orders
    in the table are skipped.

    Args:
        dataset: the data set.
        path: path of the table.
        settings: our settings, by entry.
        seed: seed of the shuffled orders.
        again: whether to repeat orders in the table.
    """
    references = {k: v for k, v in SIMPLE_MODELS.get(dataset.name, {}).items() if k not in SLOW}
    first = leave_one_out(dataset, ties="file")
    for order, interactions in tie_orders(dataset.interactions, seed) if references else ():
        keys = [{"order": order, "entry": name} for name in references]
        if not again and all(has_row(path, key, ("order", "entry")) for key in keys):
            continue
        split = leave_one_out(replace(dataset, interactions=interactions), ties="file")
        changed = float(np.mean(split.test.targets != first.test.targets))
        rows = []
        for key, (name, reference) in zip(keys, references.items(), strict=True):
            kind = type(entries()[name][0])
            model = kind(**(reference.settings or read_settings(settings[name].split())))
            report = _evaluate(model.fit(split.train, items=dataset.items, progress=False), split)
            row: dict[str, Any] = {**key, "targets_changed": changed}
            rows.append(row | {metric: report[metric] for metric in ("hr@10", METRIC)})
        upsert_rows(path, rows, ("order", "entry"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", choices=DATASETS, required=True)
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> None:
    """Evaluate every entry that is not recorded, then the orders of ties."""
    results = options.root / "results"
    path = results / "reference" / f"{options.dataset}.csv"
    records, board = Records(results), Leaderboard(results / "leaderboard")
    dataset = load_dataset(options.dataset)
    split = leave_one_out(dataset, ties="file")
    with tqdm(entries().items(), disable=options.quiet, leave=False) as bar:
        for name, models in bar:
            bar.set_description(f"{options.dataset}: {name}")
            key = RunKey("reference_results", options.dataset, name, TUNED, options.seed)
            tuned = None if options.again else settings_of(path).get(name)
            if tuned is not None and records.is_recorded(key):
                continue
            if tuned is not None:
                model = type(models[0])(**read_settings(tuned.split()))
                report = fit_and_report(model, split, dataset.items, seed=options.seed)
                _check_same(path, name, report)
            else:
                cells, report, model = measure(
                    name, models, split, dataset.items, seed=options.seed
                )
                upsert_rows(path, [cells | {"command": options.command}], ("entry",))
                command = options.command
                board.add(report, scale="laptop", seed=options.seed, command=command)
            settings = {"settings": model.get_params(), "split_hash": split.hash}
            records.start(key, command=options.command, **settings)
            headline = {"headline": {"settings": model.variant or "defaults"}}
            records.finish(key, summary(report) | headline, ranks=report)
    ties = path.with_name(f"{options.dataset}-ties.csv")
    measure_ties(dataset, ties, settings_of(path), seed=options.seed, again=options.again)
    shown = pd.read_csv(path)
    names = ["entry", "settings", "hr@10", METRIC, "theirs_hr@10", f"theirs_{METRIC}"]
    print(shown.reindex(columns=names).round(4).to_string(index=False, na_rep=""))


def settings_of(path: Path) -> dict[str, str]:
    """Return the tuned settings by entry from the table; {} if there is no table."""
    if not path.is_file():
        return {}
    rows = read_rows(path, ("entry", "settings"), text_columns=("settings",))
    return dict(zip(rows["entry"], rows["settings"], strict=True))


def _check_same(path: Path, name: str, report: Report) -> None:
    """Raise if an entry that was fitted again has other metrics than its row."""
    rows = read_rows(path, ("entry",)).set_index("entry")
    for metric in ("hr@10", METRIC):
        if abs(rows.loc[name, metric] - report[metric]) > TOLERANCE:
            raise ValueError(
                f"{name}: {metric} is {report[metric]:.6f} now and {rows.loc[name, metric]:.6f} in "
                f"{path.name}; --again evaluates all entries again"
            )


def _evaluate(
    model: Recommender, split: Split, on: Literal["test", "validation"] = "test"
) -> Report:
    return evaluate(model, split, k=10, on=on, bootstrap=0, progress=False)


def _row(
    name: str, model: Recommender, report: Report, reference: PublishedResult | None, split: Split
) -> dict[str, Any]:
    """Return one row of the table: our metrics, intervals and costs, and the reference."""
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
    if reference is not None:
        row |= {"theirs": reference.model, "theirs_hr@10": reference.hr}
        row[f"theirs_{METRIC}"] = reference.ndcg
        row["their_settings"] = " ".join(f"{k}={v:g}" for k, v in reference.settings.items())
    return row


def _pair(name: str, report: Report) -> dict[str, float]:
    return {f"{name}_{metric}": report[metric] for metric in ("hr@10", METRIC)}
