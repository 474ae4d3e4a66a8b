"""Compare search strategies at equal budget, the best of n with fresh questions, and stacking.

    python -m experiments tuning --part search --seeds 0 1 2
    python -m experiments tuning --part best-of-n --seeds 0 1 2 3 4
    python -m experiments tuning --part stacking --seeds 0 1 2

Each seed is a bazaar of its own. ``search``: every strategy tunes IALS within the same number of
iterations; the best trial on validation is reported once on test. ``best-of-n``: random settings of
IALS; of n of them the best on one half of the validation questions is reported on both halves.
``stacking``: the models of the ladder, the best of them on validation, their equal sum, and
rankers that are learned over their scores. ``results/tuning/bazaar.csv`` has a row for each record.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.records import Records, RunKey
from m6rec_lite.data import Split, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.evaluation import Report, best_of_n, evaluate
from m6rec_lite.recommenders import (
    EASE,
    IALS,
    Bigram,
    Hybrid,
    ItemKNN,
    Markov,
    Popularity,
    Recommender,
    SASRec,
    Stacked,
)
from m6rec_lite.training import STRATEGIES, Choice, Uniform, search

PEOPLE = {"search": 300, "best-of-n": 1000, "stacking": 1000}
SPACE: dict[str, Uniform | Choice] = {
    "regularization": Uniform(0.1, 1000.0, log=True),
    "alpha": Uniform(0.1, 100.0, log=True),
    "decay": Uniform(0.5, 1.0),
    "factors": Choice([8, 16, 32]),
}
#: Iterations of all trials together, and of a full trial.
BUDGET, EPOCHS = 81, 9
COUNTS = (1, 4, 16, 48)

Result = tuple[str, dict[str, float], Report | None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--part", choices=tuple(PEOPLE), default="search")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])


def run(options: argparse.Namespace) -> None:
    """Measure and record the seeds that are not recorded."""
    records = Records(options.root / "results")
    measure = {"search": searches, "best-of-n": optimism, "stacking": stacking}[options.part]
    for seed in options.seeds:
        last = {"search": STRATEGIES[-1], "best-of-n": "fresh 48", "stacking": "Stacked cnn"}
        key = RunKey("tuning", "bazaar", last[options.part], options.part, seed)
        if records.is_recorded(key) and not options.again:
            print(f"{options.part}, seed {seed}: recorded")
            continue
        people = PEOPLE[options.part]
        world = generate(seed=seed, users=people, slates=0, text=False, progress=False)
        split = leave_one_out(world)
        for name, metrics, report in measure(split, seed):
            key = RunKey("tuning", "bazaar", name, options.part, seed)
            records.start(key, command=options.command, split_hash=split.hash)
            metrics = {n: round(float(value), 5) for n, value in metrics.items()}
            records.finish(key, {"metrics": metrics}, ranks=report)
            print(f"seed {seed}, {name}: {metrics}", flush=True)
    records.write_metrics("tuning", "bazaar")


def judged(model: Recommender, split: Split, on: Any = "test") -> Report:
    """Evaluate a fitted model without intervals."""
    return evaluate(model, split, on=on, bootstrap=0, progress=False)


def searches(split: Split, seed: int) -> Iterator[Result]:
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


def optimism(split: Split, seed: int) -> Iterator[Result]:
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


def stacking(split: Split, seed: int) -> Iterator[Result]:
    """Yield each model, the best on validation, their equal sum, and the learned rankers."""
    parts: list[Recommender] = [
        Popularity(),
        Bigram(),
        Markov(),
        ItemKNN(k=50, decay=0.7),
        EASE(l2=100.0, decay=0.8),
        SASRec(n_layers=1, max_length=50, epochs=8, lr=3e-3, patience=None, seed=seed),
    ]
    on_validation, reports = [], []
    for part in parts:
        part.fit(split.train, progress=False)
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
