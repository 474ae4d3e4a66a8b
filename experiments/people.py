"""Train on more and more people, and ask the same questions: where does a network overtake EASE?

    python -m experiments people M6RecRetriever --people 15000 --set epochs=12 dropout=0.1

fits a model to the training rows of ``bazaar``'s first people, and beyond 4,600 to those of further
people of ``bazaar-large``. All models answer the test questions of ``bazaar``, and early stopping
uses its validation set. Checkpoints are in ``runs/people``; the same command continues a run.
"""

from __future__ import annotations

import argparse
import inspect
import time
from typing import Any

import pandas as pd

from experiments.arguments import add_settings_argument, read_settings
from experiments.records import Records, RunKey, summary
from m6rec_lite.data import Dataset, Interactions, Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import Cost, evaluate
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import EASE, BERT4Rec, Bigram, GRU4Rec, ItemKNN, Markov, SASRec

MODELS: dict[str, Any] = {
    model.__name__: model
    for model in (BERT4Rec, Bigram, EASE, GRU4Rec, ItemKNN, M6RecRetriever, Markov, SASRec)
}


def rows_of_people(large: Dataset, shop: Split, people: int) -> Interactions:
    """Return the rows of the first people of a larger world, in the catalogue of the shop.

    Args:
        large: the larger world, whose first people are the shop's.
        shop: split of the shop; of its people only training rows are used.
        people: number of people; those without training rows count too.
    """
    train = shop.train
    own = pd.DataFrame(
        {
            "user_id": train.user_ids[train.users],
            "item_id": train.item_ids[train.items],
            "timestamp": train.timestamps,
        }
    )
    rows = large.interactions[list(own.columns)]
    rows = rows[rows["user_id"] > int(train.user_ids.max())]
    rows = pd.concat([own, rows])
    rows = rows[(rows["user_id"] <= people) & rows["item_id"].isin(shop.item_ids)]
    rows = rows.drop_duplicates(["user_id", "item_id"])
    return Interactions.from_frame(rows, item_ids=shop.item_ids)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("model", choices=sorted(MODELS))
    parser.add_argument("--people", type=int, required=True, help="number of people to train on")
    parser.add_argument("--seed", type=int, default=0)
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Train and evaluate one model, unless the run is recorded."""
    kind, settings = MODELS[options.model], read_settings(options.set)
    seeded = "seed" in inspect.signature(kind).parameters
    model = kind(**settings, **({"seed": options.seed} if seeded else {}))
    variant = " ".join(f"{name}={value}" for name, value in settings.items())
    variant = f"{options.people} people {variant}".strip()
    key = RunKey("people", "bazaar", model.name, variant, options.seed)
    records = Records(options.root / "results")
    if records.is_recorded(key) and not options.again:
        print(f"recorded before: results/runs/{key.id} (--again repeats it)")
        return
    shop, large = load_dataset("bazaar"), load_dataset("bazaar-large")
    split = leave_one_out(shop)
    rows = rows_of_people(large, split, options.people)
    records.start(key, command=options.command, settings=model.get_params(), split_hash=split.hash)
    more: dict[str, Any] = {}
    if hasattr(model, "adapt"):  # a network
        more["checkpoint"] = options.root / "runs" / "people" / key.id
    clock = time.perf_counter()
    model.fit(
        rows, validation=split.validation, items=shop.items, progress=not options.quiet, **more
    )
    history = model.history.frame() if more else None
    seconds = time.perf_counter() - clock if history is None else float(history["seconds"].sum())
    report = evaluate(model, split, fit_cost=Cost(seconds, float("nan")), progress=False)
    records.finish(
        key,
        summary(report) | {"people": options.people, "rows": len(rows)},
        history=history,
        ranks=report,
    )
    print(report)
