"""Pretrain the retriever on many people, and use it in a shop with few.

    python -m experiments pretrained_retriever --set item_input=both

trains ``M6RecRetriever`` on the 41,400 people of ``bazaar-large`` who are not in ``bazaar``. It is
then evaluated on the test set of ``bazaar``: without further training, and fine-tuned on the
shop's own rows. EASE and ItemKNN stand beside it, fitted to the same rows: those of the shop, those
of the other people, and those of all. ``item_input`` is ``ids``, ``text`` or ``both``. Checkpoints
are in ``runs/pretrained_retriever``; the same command continues a run, and skips what is recorded.
``--save FOLDER`` keeps the pretrained model, such as the one in ``checkpoints/bazaar-retriever``.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.arguments import add_settings_argument, read_settings
from experiments.people import rows_of_people
from experiments.records import Records, RunKey, summary
from m6rec_lite.data import Dataset, Interactions, Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import Cost, Report, evaluate
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import EASE, ItemKNN, Recommender

#: Settings of pretraining, chosen on the validation set of ``bazaar-large``.
SETTINGS: dict[str, Any] = {"epochs": 12, "dropout": 0.1, "averaging": 0.998, "lr_floor": 0.02}
#: Settings of fine-tuning, chosen on the validation set of ``bazaar``.
FINE_TUNING: dict[str, Any] = {"epochs": 4, "lr": 3e-4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder to save the pretrained model in")
    add_settings_argument(parser)


def key_of(name: str, variant: str, seed: int = 0) -> RunKey:
    """Return the key of a row."""
    return RunKey("pretrained_retriever", "bazaar", name, variant, seed)


def variants(settings: dict[str, Any]) -> tuple[str, str]:
    """Return the variants of the retriever with some settings: pretrained, and fine-tuned."""
    more = dict(settings)
    words = [f"reads {more.pop('item_input', 'both')}"]
    words += [f"{name}={value}" for name, value in more.items()]
    last = ", ".join(words)
    return f"pretrained, {last}", f"pretrained and fine-tuned, {last}"


def other_people(large: Dataset, shop: Dataset) -> Dataset:
    """Return the people of a larger world who are not in the shop, and their rows."""
    last = int(shop.users["user_id"].max())
    tables = {
        name: table[table["user_id"] > last].reset_index(drop=True)
        for name in ("interactions", "users")
        if (table := getattr(large, name)) is not None
    }
    return replace(large, name="bazaar-others", impressions=None, **tables)


def rows_in_shop(people: Dataset, split: Split) -> Interactions:
    """Return the rows of other people as training rows in the catalogue of the shop."""
    rows = people.interactions[["user_id", "item_id", "timestamp"]]
    rows = rows[rows["item_id"].isin(split.item_ids)].drop_duplicates(["user_id", "item_id"])
    return Interactions.from_frame(rows, item_ids=split.item_ids)


def run(options: argparse.Namespace) -> None:
    """Pretrain, fine-tune, and evaluate what is not recorded."""
    records, settings = Records(options.root / "results"), read_settings(options.set)
    shop, large = load_dataset("bazaar"), load_dataset("bazaar-large")
    others, split = other_people(large, shop), leave_one_out(shop)
    model = M6RecRetriever(**SETTINGS | settings, seed=options.seed)
    keys = [key_of(model.name, variant, options.seed) for variant in variants(settings)]

    def record(key: RunKey, report: Report, **more: Any) -> None:
        history = more.pop("history", None)
        records.start(key, command=options.command, split_hash=split.hash, **more)
        records.finish(key, summary(report), history=history, ranks=report)
        print(f"{key.model} {key.variant}: {report['ndcg@10']:.4f} {report.intervals['ndcg@10']}")

    def is_missing(key: RunKey) -> bool:
        return options.again or not records.is_recorded(key)

    if options.save is not None or any(map(is_missing, keys)):
        folder = options.root / "runs" / "pretrained_retriever" / keys[0].id
        history = pretrain(model, others, folder, progress=not options.quiet)
        if options.save is not None:
            model.save(options.save)
        more = {
            "settings": model.get_params(),
            "pretraining_seconds": round(float(history["seconds"].sum()), 1),
        }
        served = model.for_catalogue(split.item_ids, items=shop.items, users=shop.users)
        record(keys[0], evaluate(served, split, progress=False), history=history, **more)
        served.adapt(
            split.train, validation=split.validation, progress=not options.quiet, **FINE_TUNING
        )
        history = served.history.frame()
        cost = Cost(float(history["seconds"].sum()), float("nan"))
        report = evaluate(served, split, fit_cost=cost, progress=False)
        record(keys[1], report, history=history, **more)
    rows = {
        "the shop's rows": split.train,
        "the other people's rows": rows_in_shop(others, split),
        "all people's rows": rows_of_people(large, split, len(large.users)),
    }
    for label, train in rows.items():
        rivals: tuple[Recommender, ...] = (EASE(decay=0.8), ItemKNN(decay=0.8))
        for rival in rivals:
            key = key_of(rival.name, f"decay=0.8, {label}", options.seed)
            if is_missing(key):
                record(key, evaluate(rival.fit(train, progress=False), split, progress=False))


def pretrain(model: M6RecRetriever, people: Dataset, folder: Path, *, progress: bool) -> Any:
    """Fit the retriever to the training rows of some people, with early stopping on theirs.

    Args:
        model: an unfitted model.
        people: data set of the people to train on.
        folder: of the checkpoints, from which an interrupted run continues.
        progress: whether to show a progress bar.

    Returns:
        The history, one row for each epoch.
    """
    split = leave_one_out(people)
    model.fit(
        split.train,
        validation=split.validation,
        items=people.items,
        users=people.users,
        checkpoint=folder,
        progress=progress,
    )
    return model.history.frame()
