"""Pretrain the retriever on many people, and use it in a shop with few.

    python -m experiments pretrained_retriever --set item_input=both

trains ``M6RecRetriever`` on the 41,400 people of ``bazaar-large`` who are not in ``bazaar``. It is
then evaluated on the test set of ``bazaar``: without further training, and fine-tuned on the
shop's own rows. EASE and ItemKNN stand beside it, fitted to the same rows: those of the shop, and
those of all people. ``--save FOLDER`` keeps the pretrained model.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.arguments import add_settings_argument, read_settings
from experiments.people import rows_of_people
from experiments.records import Records, RunKey, summary
from m6rec_lite.data import Dataset, leave_one_out, load_dataset
from m6rec_lite.evaluation import Cost, Report, compare, evaluate
from m6rec_lite.m6rec.retriever import M6RecRetriever
from m6rec_lite.recommenders import EASE, ItemKNN

#: Settings of pretraining, chosen on the validation set of ``bazaar-large``.
SETTINGS: dict[str, Any] = {"epochs": 12, "dropout": 0.1, "averaging": 0.998, "lr_floor": 0.02}
#: Settings of fine-tuning, chosen on the validation set of ``bazaar``.
FINE_TUNING: dict[str, Any] = {"epochs": 4, "lr": 3e-4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder to save the pretrained model in")
    add_settings_argument(parser)


def other_people(large: Dataset, shop: Dataset) -> Dataset:
    """Return the people of a larger world who are not in the shop, and their rows."""
    last = int(shop.users["user_id"].max())
    tables = {
        name: table[table["user_id"] > last].reset_index(drop=True)
        for name in ("interactions", "users")
        if (table := getattr(large, name)) is not None
    }
    return replace(large, name="bazaar-others", impressions=None, **tables)


def run(options: argparse.Namespace) -> None:
    """Pretrain, fine-tune, and evaluate what is not recorded."""
    records, progress = Records(options.root / "results"), not options.quiet
    shop, large = load_dataset("bazaar"), load_dataset("bazaar-large")
    others, split = other_people(large, shop), leave_one_out(shop)
    pretraining = leave_one_out(others)
    model = M6RecRetriever(**SETTINGS | read_settings(options.set), seed=options.seed)

    def record(report: Report, name: str, variant: str, **more: Any) -> Report:
        key = RunKey("pretrained_retriever", "bazaar", name, variant, options.seed)
        records.start(key, command=options.command, split_hash=split.hash, **more)
        records.finish(key, summary(report), ranks=report)
        print(f"{name} {variant}: {report['ndcg@10']:.4f} {report.intervals['ndcg@10']}")
        return report

    model.fit(
        pretraining.train,
        validation=pretraining.validation,
        items=large.items,
        users=others.users,
        checkpoint=options.root
        / "runs"
        / "pretrained_retriever"
        / f"{model.item_input}-{model.seed}",
        progress=progress,
    )
    if options.save is not None:
        model.save(options.save)
    seconds = float(model.history.frame()["seconds"].sum())
    settings = {"settings": model.get_params(), "pretraining_seconds": round(seconds, 1)}
    served = model.for_catalogue(split.item_ids, items=shop.items, users=shop.users)
    read = f"reads {model.item_input}"
    record(evaluate(served, split, progress=False), model.name, f"pretrained, {read}", **settings)
    served.adapt(split.train, validation=split.validation, progress=progress, **FINE_TUNING)
    tuned = evaluate(
        served,
        split,
        fit_cost=Cost(float(served.history.frame()["seconds"].sum()), float("nan")),
        progress=False,
    )
    record(tuned, model.name, f"pretrained and fine-tuned, {read}", **settings)
    everybody = rows_of_people(large, split, len(large.users))
    for rival in (EASE(decay=0.8), ItemKNN(decay=0.8)):
        for rows, label in ((split.train, "the shop's rows"), (everybody, "all people's rows")):
            report = evaluate(rival.fit(rows, progress=False), split, progress=False)
            record(report, rival.name, f"decay=0.8, {label}")
            print(f"  {compare(tuned, report)}")
