"""Pretrain the retriever on four domains of behaviour, and recommend in the fifth.

    python -m experiments pretrained_domain --domain courses --set item_input=text

trains ``M6RecRetriever`` on the rows of the 41,400 people of ``bazaar-large`` who are not in
``bazaar``, without those in one domain. The questions are those of ``data.hidden_domain`` on
``bazaar``: a user's last item of that domain, ranked among the domain's items, after the items of
other domains. No model has seen a row there, except where its row says so: the retriever describes
the new items by their text, and so do ``TextNeighbours``, through the scores of EASE and ItemKNN,
and ``ContentBased``. Popularity in the fifth domain, alone and added to a model with a weight
chosen on validation, and EASE with all five domains show what rows there are worth. Checkpoints are
in ``runs/pretrained_domain``; the same command continues a run, and skips what is recorded.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from experiments.arguments import add_settings_argument, read_settings
from experiments.ensembles import choose_ensemble
from experiments.pretrained_retriever import SETTINGS, other_people, pretrain, rows_in_shop
from experiments.records import Records, RunKey, summary
from m6rec_lite.data import Dataset, Histories, Interactions, hidden_domain, load_dataset
from m6rec_lite.evaluation import evaluate
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import EASE, ContentBased, ItemKNN, Popularity, Recommender

#: Shares of the shop's users with test and validation questions; their other rows are not used.
SHARES: dict[str, Any] = {"test": 0.8, "validation": 0.15}


class TextNeighbours(Recommender):
    """Score items without training rows by the scores of the items with similar texts.

    The score of such an item is the mean of the scores that a recommender gives to the items with
    training rows whose texts are nearest, weighted by the cosine of their TF-IDF vectors. Items
    with training rows keep their scores.

    Args:
        recommender: the model, which knows items by their rows alone; ``fit`` fits it.
        n_neighbours: number of items with training rows to average over.
    """

    falls_back: ClassVar[bool] = False  # the recommender has its own fallback

    def __init__(self, recommender: Recommender, n_neighbours: int = 10) -> None:
        self.recommender, self.n_neighbours = recommender, n_neighbours

    @property
    def name(self) -> str:
        """The name of the recommender, and that texts are used."""
        return f"{self.recommender.name} through text"

    @property
    def variant(self) -> str:
        """The arguments of the recommender."""
        return self.recommender.variant

    def _fit(self, train: Interactions, **extras: Any) -> None:
        self.recommender.fit(train, **extras)
        vectors = ContentBased().fit(train, items=extras["items"]).vectors_
        seen = self.popularity_ > 0
        similarity = (vectors @ vectors.T).toarray() * seen[:, None]
        nearest = np.argpartition(-similarity, self.n_neighbours - 1, axis=0)[: self.n_neighbours]
        weights = np.zeros_like(similarity)
        np.put_along_axis(weights, nearest, np.take_along_axis(similarity, nearest, axis=0), axis=0)
        weights /= np.maximum(weights.sum(axis=0), 1e-12)
        weights[:, seen] = np.eye(len(seen))[:, seen]
        self.weights_ = sparse.csr_array(weights)

    def _score(self, histories: Histories) -> np.ndarray:
        return self.recommender.score(histories) @ self.weights_


def without_domain(dataset: Dataset, domain: str) -> Dataset:
    """Return a data set without the items of a domain, and without the rows of these items."""
    items = dataset.items[dataset.items["domain"] != domain].reset_index(drop=True)
    rows = dataset.interactions
    rows = rows[rows["item_id"].isin(items["item_id"])].reset_index(drop=True)
    return replace(dataset, name=f"{dataset.name}, no {domain}", interactions=rows, items=items)


def key_of(name: str, domain: str, variant: str, seed: int = 0) -> RunKey:
    """Return the key of a row."""
    return RunKey("pretrained_domain", "bazaar", name, f"{domain}: {variant}", seed)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--domain", default="courses", help="the domain without training rows")
    parser.add_argument("--seed", type=int, default=0)
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Pretrain, and evaluate what is not recorded."""
    records, settings = Records(options.root / "results"), read_settings(options.set)
    shop, large = load_dataset("bazaar"), load_dataset("bazaar-large")
    others, domain = other_people(large, shop), options.domain
    split = hidden_domain(shop, domain, **SHARES, seed=options.seed)
    elsewhere = without_domain(others, domain)
    everything, rows = rows_in_shop(others, split), rows_in_shop(elsewhere, split)
    popularity = Popularity().fit(everything)

    def record(model: Recommender, variant: str, history: Any = None, **more: Any) -> None:
        key = key_of(model.name, domain, variant, options.seed)
        if records.is_recorded(key) and not options.again:
            return
        report = evaluate(model, split, progress=False)
        records.start(key, command=options.command, split_hash=split.hash)
        records.finish(key, summary(report) | more, history=history, ranks=report)
        print(f"{key.model} {variant}: {report['ndcg@10']:.4f} {report.intervals['ndcg@10']}")

    def record_both(model: Recommender, variant: str, **more: Any) -> None:
        """Record a model, and the model with popularity in the fifth domain."""
        record(model, variant, **more)
        chosen = choose_ensemble(model, popularity, split)
        weights = {"weight of the model": chosen.weight, "validation ndcg@10": chosen.ndcg}
        record(chosen.model, f"{model.name} {variant}, and popularity", **weights)

    record(popularity, "rows in the domain")
    record(EASE(decay=0.8).fit(everything, progress=False), "decay=0.8, rows in the domain")
    plain = (EASE(decay=0.8), ItemKNN(decay=0.8), ContentBased(decay=0.8))
    for rival in (*plain, *(TextNeighbours(type(model)(decay=0.8)) for model in plain[:2])):
        record_both(rival.fit(rows, items=shop.items, progress=False), "decay=0.8")
    model = M6RecRetriever(**SETTINGS | {"item_input": "text"} | settings, seed=options.seed)
    words = [f"reads {model.item_input}"]
    words += [f"{name}={value}" for name, value in settings.items() if name != "item_input"]
    variant = ", ".join(words)
    key = key_of(model.name, domain, variant, options.seed)
    if records.is_recorded(key) and not options.again:
        return
    folder = options.root / "runs" / "pretrained_domain" / key.id
    history = pretrain(model, elsewhere, folder, progress=not options.quiet)
    served = model.for_catalogue(split.item_ids, items=shop.items, users=shop.users)
    record_both(served, variant, history=history, settings=model.get_params())
