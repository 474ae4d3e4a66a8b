"""Generative retrieval with semantic ids, and HSTU with and without the query time.

    python -m experiments generative --people 500 --seeds 0 1 2
    python -m experiments generative --part time --dataset ml-100k --seeds 0 1 2
    python -m experiments generative --dataset bazaar-wide --set epochs=20
    python -m experiments generative --part known time --dataset ml-1m --set epochs=30

fits each cell of the parts once for each seed and records its test ranks; what is recorded is
skipped. The parts:

- ``known``: leave-one-out. Generative retrieval with ids from texts, from events, and at random,
  scored exactly and by beam search; beside it two towers over texts, and SASRec.
- ``unseen``: items of ``cold_item``, without any event in training. Generative retrieval whose
  training leaves their codes out of the softmax or not, two towers, TF-IDF.
- ``time``: leave-one-out. HSTU with steps only, with time gaps, and with the query time; SASRec.
- ``global``: the split by time, ``global_time``, for one model of each kind.

``results/generative/<dataset>.csv`` has a row for each record.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from experiments.arguments import add_settings_argument, read_settings
from experiments.records import Records, RunKey, summary
from m6rec_lite.course import dense_sample
from m6rec_lite.data import Dataset, Split, cold_item, global_time, leave_one_out, load_dataset
from m6rec_lite.evaluation import Cost, evaluate
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import HSTU, ContentBased, GenerativeRetriever, Recommender, SASRec

EXPERIMENT = "generative"
#: Settings of all networks, beside the defaults.
RECIPE: dict[str, Any] = {"max_length": 50, "epochs": 8, "batch_size": 32, "lr": 3e-3}
RECIPE |= {"lr_floor": 0.05, "patience": None}
#: Widths of the beam searches.
BEAMS = (10, 20)


@dataclass(frozen=True)
class Cell:
    """One model, and how it is evaluated.

    Attributes:
        name: of the variant.
        kind: class of the model.
        settings: beside those of ``RECIPE``.
        beams: further evaluations by beam search.
    """

    name: str
    kind: Callable[..., Any]
    settings: dict[str, Any] = field(default_factory=dict)
    beams: tuple[int, ...] = ()

    def make(self, seed: int, more: dict[str, Any]) -> Any:
        """Return the unfitted model."""
        if self.kind is ContentBased:
            return ContentBased(**self.settings)
        return self.kind(**RECIPE | self.settings | more, seed=seed)

    def keys(self, part: str, dataset: str, seed: int) -> dict[int | None, RunKey]:
        """Return the key of each evaluation, by its number of beams; None is exact."""
        names = {None: self.name} | {b: f"{self.name}, {b} beams" for b in self.beams}
        model = self.kind.__name__
        return {
            beams: RunKey(EXPERIMENT, dataset, model, f"{part}: {name}", seed)
            for beams, name in names.items()
        }


_TEXT = Cell("ids from text", GenerativeRetriever, {"ids_from": "text"})
_TOWERS = Cell("text", M6RecRetriever, {"item_input": "text"})
_SASREC = Cell("ids", SASRec)

#: The cells of each part.
PARTS: dict[str, list[Cell]] = {
    "known": [
        _SASREC,
        _TOWERS,
        Cell("ids from text", GenerativeRetriever, {"ids_from": "text"}, BEAMS),
        Cell("ids from events", GenerativeRetriever, {"ids_from": "events"}),
        Cell("ids at random", GenerativeRetriever, {"ids_from": "random"}),
    ],
    "unseen": [
        Cell("TF-IDF", ContentBased, {"decay": 0.8}),
        _TOWERS,
        _TEXT,
        Cell("ids from text, unseen as negatives", GenerativeRetriever, {"mask_unseen": False}),
    ],
    "time": [
        _SASREC,
        Cell("steps", HSTU, {"use_time_gaps": False}),
        Cell("time-blind", HSTU),
        Cell("time-aware", HSTU, {"use_query_time": True}),
    ],
    "global": [_SASREC, _TOWERS, _TEXT, Cell("time-blind", HSTU)],
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--part", nargs="+", choices=PARTS, default=["known", "unseen", "time"])
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--people", type=int, help="number of people to sample; by default all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", help="names of cells; by default all")
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Fit and evaluate what is not recorded."""
    records, dataset = Records(options.root / "results"), load_dataset(options.dataset)
    name = options.dataset
    if options.people is not None:
        dataset = dense_sample(dataset, options.people)
        name = f"{name}-{options.people}-people"
    for part in options.part:
        split = make_split(part, dataset)
        for seed in options.seeds:
            for cell in PARTS[part]:
                keys = cell.keys(part, name, seed)
                skipped = options.only is not None and cell.name not in options.only
                recorded = all(map(records.is_recorded, keys.values())) and not options.again
                if not skipped and not recorded:
                    record_cell(records, cell, keys, split, dataset, options)
    records.write_metrics(EXPERIMENT, name)


def make_split(part: str, dataset: Dataset) -> Split:
    """Return the split of a part."""
    if part == "unseen":
        return cold_item(dataset, seed=0)
    return global_time(dataset) if part == "global" else leave_one_out(dataset)


def record_cell(
    records: Records,
    cell: Cell,
    keys: dict[int | None, RunKey],
    split: Split,
    dataset: Dataset,
    options: argparse.Namespace,
) -> None:
    """Fit the model of a cell and record all of its evaluations."""
    model: Recommender = cell.make(keys[None].seed, read_settings(options.set))
    for key in keys.values():
        more = {"settings": model.get_params(), "split_hash": split.hash}
        records.start(key, command=options.command, **more)
    start = time.process_time()
    model.fit(split.train, items=dataset.items, progress=not options.quiet)
    seconds = time.process_time() - start
    history = model.history.frame() if hasattr(model, "history") else None
    for beams, key in keys.items():
        if beams is not None:
            model.set_params(beams=beams)
        report = evaluate(model, split, fit_cost=Cost(seconds, float("nan")), progress=False)
        records.finish(key, summary(report), history=history, ranks=report)
        ndcg = report["ndcg@10"]
        print(f"{key.variant}, seed {key.seed}: {ndcg:.4f} ({seconds:.0f} s)", flush=True)
