"""Rank items without training rows: by their text, by text and ids, and by simple models.

    python -m experiments cold_items --seed 0

A fifth of the items has no training row (``data.cold_item``; the seed draws them), half of them are
the validation's targets, half the test's. ``M6RecRetriever`` reads their text, alone or with ids,
and ``ContentBased`` compares TF-IDF vectors with those of the history, with the decay that is best
on validation. EASE and ItemKNN reach the items through the scores of items with similar texts.
SASRec knows ids alone, popularity nothing but its ties. Each model is a recorded run; the command
skips what is recorded.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from experiments.pretrained_domain import TextNeighbours
from experiments.records import Records, RunKey, summary
from m6rec_lite.data import Split, cold_item, load_dataset
from m6rec_lite.evaluation import evaluate, fit_and_evaluate
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import EASE, ContentBased, ItemKNN, Popularity, Recommender, SASRec

EXPERIMENT = "cold_items"
#: Decays of the history in TF-IDF; the best on validation is used.
DECAYS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
#: Settings of the networks; the number of epochs is chosen on validation.
RETRIEVER: dict[str, Any] = {"epochs": 20, "dropout": 0.2, "averaging": 0.99, "lr_floor": 0.02}
SASREC: dict[str, Any] = {"epochs": 12, "max_length": 50, "lr": 3e-3}


def models(seed: int) -> dict[tuple[str, str], Callable[[], Recommender]]:
    """Return what makes each model, by its name and variant; all but tuned TF-IDF."""
    return {
        ("Popularity", ""): Popularity,
        ("ContentBased", "no decay"): ContentBased,
        ("EASE through text", "decay=0.8"): lambda: TextNeighbours(EASE(decay=0.8)),
        ("ItemKNN through text", "decay=0.8"): lambda: TextNeighbours(ItemKNN(decay=0.8)),
        ("SASRec", "reads ids"): lambda: SASRec(**SASREC, seed=seed),
        ("M6RecRetriever", "reads text"): lambda: M6RecRetriever(
            **RETRIEVER, item_input="text", seed=seed
        ),
        ("M6RecRetriever", "reads both"): lambda: M6RecRetriever(**RETRIEVER, seed=seed),
    }


def choose_decay(split: Split, items: Any) -> tuple[float, dict[str, float]]:
    """Return the decay of TF-IDF with the best NDCG@10 on validation, and the NDCG of each."""
    ndcg = {
        decay: evaluate(
            ContentBased(decay=decay).fit(split.train, items=items),
            split,
            on="validation",
            progress=False,
        )["ndcg@10"]
        for decay in DECAYS
    }
    best = max(ndcg, key=lambda decay: ndcg[decay])
    return best, {f"{decay:g}": round(value, 4) for decay, value in ndcg.items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> None:
    """Fit and evaluate what is not recorded."""
    dataset, records = load_dataset(options.dataset), Records(options.root / "results")
    split = cold_item(dataset, seed=options.seed)
    made = models(options.seed)
    tuned = ("ContentBased", "decay chosen on validation")
    for name, variant in [*made, tuned]:
        key = RunKey(EXPERIMENT, options.dataset, name, variant, options.seed)
        if records.is_recorded(key) and not options.again:
            continue
        more: dict[str, Any] = {}
        if (name, variant) == tuned:
            decay, ndcg = choose_decay(split, dataset.items)
            model: Recommender = ContentBased(decay=decay)
            more = {"decay": decay, "validation ndcg@10": ndcg}
        else:
            model = made[name, variant]()
        records.start(key, command=options.command, split_hash=split.hash)
        report = fit_and_evaluate(
            model, split, items=dataset.items, seed=options.seed, progress=not options.quiet
        )
        history = model.history.frame() if hasattr(model, "history") else None
        records.finish(key, summary(report) | more, history=history, ranks=report)
        low, high = report.intervals["ndcg@10"]
        print(f"{name}, {variant}: {report['ndcg@10']:.4f} [{low:.4f}, {high:.4f}]")
