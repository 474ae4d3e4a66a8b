"""Compare search strategies, the best of n with fresh questions, regularization, and stacking.

    python -m experiments tuning --part search --seeds 0 1 2
    python -m experiments tuning --part best-of-n --seeds 0 1 2 3 4
    python -m experiments tuning --part regularization --seeds 0 1 2
    python -m experiments tuning --part stacking --seeds 0 1 2
    python -m experiments tuning --part stacking-ladder --seeds 0 1 2

Each seed is a bazaar of its own. ``search``: every strategy tunes IALS within the same number of
iterations; the best trial on validation is reported once on test. ``best-of-n``: random settings of
IALS; of n of them the best on one half of the validation questions is reported on both halves.
``regularization``: SASRec on 120 people, with each of five ways to keep it from fitting noise.
``stacking``: six models, the best of them on validation, their equal sum, and rankers that are
learned over their scores. ``stacking-ladder``: the same with texts in the world, and five further
models. ``results/tuning/bazaar.csv`` has a row for each record.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from experiments.records import Records, RunKey
from m6rec_lite.data import Split, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.evaluation import Report, best_of_n, evaluate
from m6rec_lite.m6rec import M6RecRetriever
from m6rec_lite.recommenders import (
    EASE,
    IALS,
    Bigram,
    ContentBased,
    GRU4Rec,
    Hybrid,
    Item2Vec,
    ItemKNN,
    Markov,
    Popularity,
    Recommender,
    SASRec,
    Stacked,
    take_users,
)
from m6rec_lite.training import STRATEGIES, Choice, ReduceOnPlateau, Uniform, search

PEOPLE = {
    "search": 300,
    "best-of-n": 1000,
    "regularization": 400,
    "stacking": 1000,
    "stacking-ladder": 1000,
}
#: The last record of each part.
LAST = {
    "search": STRATEGIES[-1],
    "best-of-n": "fresh 48",
    "regularization": "early stopping",
    "stacking": "Stacked cnn",
    "stacking-ladder": "Stacked cnn",
}
SPACE: dict[str, Uniform | Choice] = {
    "regularization": Uniform(0.1, 1000.0, log=True),
    "alpha": Uniform(0.1, 100.0, log=True),
    "decay": Uniform(0.5, 1.0),
    "factors": Choice([8, 16, 32]),
}
#: Iterations of all trials together, and of a full trial.
BUDGET, EPOCHS = 81, 9
COUNTS = (1, 4, 16, 48)
#: People whose histories are known to a regularized network, its settings, and the ways.
KNOWN = 120
NETWORK: dict[str, Any] = {"hidden_size": 32, "n_layers": 1, "max_length": 30, "epochs": 18}
NETWORK |= {"lr": 0.02, "batch_size": 32, "dropout": 0.0, "patience": None}
WAYS: dict[str, dict[str, Any]] = {
    "none": {},
    "dropout .3": {"dropout": 0.3},
    "L2": {"weight_decay": 1.0},
    "batch norm": {},
    "plateau": {},
    "early stopping": {"patience": 2},
}

Result = tuple[str, dict[str, float], Report | None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--part", choices=tuple(PEOPLE), default="search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])


def run(options: argparse.Namespace) -> None:
    """Measure and record the seeds that are not recorded."""
    records = Records(options.root / "results")
    measure = MEASURES[options.part]
    for seed in options.seeds:
        key = RunKey("tuning", "bazaar", LAST[options.part], options.part, seed)
        if records.is_recorded(key) and not options.again:
            print(f"{options.part}, seed {seed}: recorded")
            continue
        has_text = options.part == "stacking-ladder"
        people = PEOPLE[options.part]
        world = generate(seed=seed, users=people, slates=0, text=has_text, progress=False)
        split = leave_one_out(world)
        items = world.items if has_text else None
        for name, metrics, report in measure(split, seed, items):
            key = RunKey("tuning", "bazaar", name, options.part, seed)
            records.start(key, command=options.command, split_hash=split.hash)
            metrics = {n: round(float(value), 5) for n, value in metrics.items()}
            records.finish(key, {"metrics": metrics}, ranks=report)
            print(f"seed {seed}, {name}: {metrics}", flush=True)
    records.write_metrics("tuning", "bazaar")


def judged(model: Recommender, split: Split, on: Any = "test") -> Report:
    """Evaluate a fitted model without intervals."""
    return evaluate(model, split, on=on, bootstrap=0, progress=False)


def searches(split: Split, seed: int, items: pd.DataFrame | None = None) -> Iterator[Result]:
    """Yield each strategy with what it found."""

    def validation(params: dict[str, Any], epochs: int) -> float:
        model = IALS(**params, iterations=epochs).fit(split.train, progress=False)
        return judged(model, split, "validation")["ndcg@10"]

    for strategy in STRATEGIES:
        found = search(validation, SPACE, strategy, budget=BUDGET, epochs=EPOCHS, seed=seed)
        best = IALS(**found.best.params, iterations=EPOCHS).fit(split.train, progress=False)
        report = judged(best, split)
        metrics = {
            "ndcg@10": report["ndcg@10"],
            "validation": found.best.score,
            "trials": len(found.trials),
            "spent": found.spent,
            "seconds": sum(trial.seconds for trial in found.trials),
        }
        yield strategy, metrics, report


def optimism(split: Split, seed: int, items: pd.DataFrame | None = None) -> Iterator[Result]:
    """Yield the best of n random settings, on the half that chose it and on the other half."""
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(COUNTS[-1]):
        params: dict[str, Any] = {name: part.at(rng.random()) for name, part in SPACE.items()}
        model = IALS(**params, iterations=EPOCHS).fit(split.train, progress=False)
        values.append(judged(model, split, "validation").per_user["ndcg@10"])
    for n in COUNTS:
        found = best_of_n(np.array(values), n, seed=seed)
        means = {"chosen": found.chosen, "fresh": found.fresh, "typical": found.typical}
        for name, mean in means.items():
            yield f"{name} {n}", {"ndcg@10": mean.mean()}, None


class TokenNorm(nn.BatchNorm1d):
    """Batch normalization with the mean and variance over all tokens of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(..., hidden)``."""
        return super().forward(x.reshape(-1, x.shape[-1])).view_as(x)


class BatchNormSASRec(SASRec):
    """SASRec whose blocks have batch normalization in place of layer normalization."""

    def _build(self, n_items: int) -> Any:
        network: Any = super()._build(n_items)
        for block in network.transformer.blocks:
            block.norm_attention = TokenNorm(self.hidden_size)
            block.norm_ffn = TokenNorm(self.hidden_size)
        return network


def regularization(split: Split, seed: int, items: pd.DataFrame | None = None) -> Iterator[Result]:
    """Yield SASRec on few people with each way of regularization; the first row has none.

    The report is on test; ``validation`` is that of the weights that were kept.
    """
    few = take_users(split.train, np.arange(min(KNOWN, split.train.n_users)))
    for way, change in WAYS.items():
        kind = BatchNormSASRec if way == "batch norm" else SASRec
        plateau = ReduceOnPlateau("ndcg@10", mode="max", patience=1)
        model = kind(**NETWORK | change, seed=seed)
        callbacks = [plateau] if way == "plateau" else []
        model.fit(few, validation=split.validation, callbacks=callbacks, progress=False)
        report = judged(model, split)
        metrics = {
            "ndcg@10": report["ndcg@10"],
            "validation": judged(model, split, "validation")["ndcg@10"],
            "loss": model.history.frame()["loss"].iloc[-1],
        }
        yield way, metrics, report


def six_parts(seed: int) -> list[Recommender]:
    """Return the unfitted models of ``stacking``."""
    return [
        Popularity(),
        Bigram(),
        Markov(),
        ItemKNN(k=50, decay=0.7),
        EASE(l2=100.0, decay=0.8),
        SASRec(n_layers=1, max_length=50, epochs=8, lr=3e-3, patience=None, seed=seed),
    ]


def further_parts(seed: int) -> list[Recommender]:
    """Return the unfitted models that ``stacking-ladder`` has besides."""
    network: dict[str, Any] = {"epochs": 8, "lr": 3e-3, "patience": None, "seed": seed}
    return [
        ContentBased(decay=0.8),
        IALS(factors=16, regularization=1.0, alpha=10.0, decay=0.8, iterations=EPOCHS, seed=seed),
        Item2Vec(seed=seed),
        GRU4Rec(fused=True, max_length=50, **network),
        M6RecRetriever(item_input="text", max_length=50, **network),
    ]


def stacking(split: Split, seed: int, items: pd.DataFrame | None = None) -> Iterator[Result]:
    """Yield each model, the best on validation, their equal sum, and the learned rankers.

    Args:
        split: questions of one world.
        seed: of the networks.
        items: texts of the items; with them the five further models take part.
    """
    parts = six_parts(seed) + (further_parts(seed) if items is not None else [])
    on_validation, reports = [], []
    for part in parts:
        part.fit(split.train, items=items, progress=False)
        on_validation.append(judged(part, split, "validation")["ndcg@10"])
        reports.append(judged(part, split))
        yield part.name, {"ndcg@10": reports[-1]["ndcg@10"]}, reports[-1]
    best = reports[int(np.argmax(on_validation))]
    yield "best single", {"ndcg@10": best["ndcg@10"]}, best
    equal = judged(Hybrid(parts).fit(split.train), split)
    yield "equal sum", {"ndcg@10": equal["ndcg@10"]}, equal
    for ranker in ("linear", "mlp", "cnn"):
        stacked = Stacked(parts, ranker, seed=seed)
        stacked.fit(split.train, validation=split.validation, progress=False)
        report = judged(stacked, split)
        yield f"Stacked {ranker}", {"ndcg@10": report["ndcg@10"]}, report


MEASURES: dict[str, Callable[..., Iterator[Result]]] = {
    "search": searches,
    "best-of-n": optimism,
    "regularization": regularization,
    "stacking": stacking,
    "stacking-ladder": stacking,
}
