"""Judge estimates from logs by live truth, and ways to learn from a stream, on several worlds.

    python -m experiments learning_live --seeds 0 1 2 3 4
    python -m experiments learning_live --part streams --seeds 0 1 2
    python -m experiments learning_live --part days --seeds 0 1 2
    python -m experiments learning_live --part rounds --seeds 1 2 3 4 5

``off-policy``: the bazaar of each seed is generated. Two recommenders are fitted on its first half,
and the slates of the second half estimate what they would earn, and what a page without the
shopper's interest would. The error is the distance to the oracle's expectation, in clicks a slate,
as a mean over the three policies. ``streams``: a small model goes through the second half of a log,
and through one in which a domain opens and nothing else is seen. ``days``: it goes through the last
30 days and learns every night. ``rounds``: EASE shows lists for fifty rounds and learns from the
clicks, with and without random items, or does not learn. Each estimator, way to learn or kind of
rounds is a record for each seed; ``results/learning_live/bazaar.csv`` has a row for each, and
``days.csv`` one for each day of each way. ``river, online`` is measured where the extra ``stream``
is installed.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

from experiments.records import METRICS, Records, RunKey, read_history
from m6rec_lite.ctr import histories_before
from m6rec_lite.data import Dataset, FrontPage, Histories, Interactions
from m6rec_lite.data.bazaar import generate
from m6rec_lite.data.files import write_text
from m6rec_lite.feedback import (
    STRATEGIES,
    Estimate,
    SlateLog,
    doubly_robust,
    ips,
    list_probabilities,
    run_rounds,
    run_stream,
    self_normalised,
    stream_ndcg,
)
from m6rec_lite.recommenders import (
    EASE,
    Bigram,
    Markov,
    OnlineNextItem,
    Recommender,
    RiverNextItem,
    next_events,
    top_k,
)

SLATE = 10
MODELS: dict[str, Callable[[], Recommender]] = {
    "Markov": Markov,
    "EASE": lambda: EASE(decay=0.8),
}
#: People of the streams, number of periods, and penalty of ``ewc``.
PEOPLE, PERIODS, PENALTY = 600, 6, 30.0
NEW_DOMAIN = "courses"
#: Number of last days of ``days``, days of a mean, and seconds of a day.
DAYS, WEEK, DAY = 30, 7, 24 * 60 * 60
#: Highest user id of ``rounds``, number of rounds, and options of each kind.
SHOPPERS, ROUNDS = 200, 50
KINDS_OF_ROUNDS: dict[str, dict[str, Any]] = {
    "control": {"learns": False},
    "learns": {},
    "explores .05": {"explore": 0.05},
    "explores .2": {"explore": 0.2},
}
BIGRAM, RIVER = "bigram, retrained", "river, online"


class Measured(NamedTuple):
    """A model or method with its metrics, and its curve if it has one."""

    name: str
    metrics: dict[str, float]
    history: pd.DataFrame | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument(
        "--part", choices=("off-policy", "streams", "days", "rounds"), default="off-policy"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])


def run(options: argparse.Namespace) -> None:
    """Measure and record what is not recorded."""
    records, part = Records(options.root / "results"), options.part
    measure: Callable[[Dataset, int, Sequence[str]], Iterator[Measured]]
    measure, names = {
        "off-policy": (off_policy, [f"{way}, {kind}" for way in WAYS for kind in KINDS]),
        "streams": (streams, ways_to_learn()),
        "days": (days, ways_to_learn()),
        "rounds": (rounds, [*KINDS_OF_ROUNDS]),
    }[part]
    if part in ("streams", "days") and RIVER not in names:
        print(f'no row "{RIVER}": river is not installed (extra stream)')
    for seed in options.seeds:
        keys = {n: RunKey("learning_live", "bazaar", n, part, seed) for n in names}
        wanted = [n for n in names if options.again or not records.is_recorded(keys[n])]
        if not wanted:
            print(f"{part}, seed {seed}: recorded")
            continue
        world = generate(seed=seed, text=False, progress=not options.quiet)
        for name, metrics, history in measure(world, seed, wanted):
            more = {"river": version("river")} if name == RIVER else {}
            records.start(keys[name], command=options.command, **more)
            metrics = {n: round(float(value), 5) for n, value in metrics.items()}
            records.finish(keys[name], {"metrics": metrics}, history=history)
            print(f"seed {seed}, {name}: {metrics}")
    records.write_metrics("learning_live", "bazaar")
    write_days(records)


def ways_to_learn() -> list[str]:
    """Return the ways to learn from a stream; that of ``river`` only where it is installed."""
    return [*STRATEGIES, BIGRAM, *([RIVER] if find_spec("river") else [])]


def learner(way: str, seed: int) -> tuple[Recommender, str]:
    """Return an unfitted model and its strategy.

    River's naive Bayes counts: to learn online and to be counted anew are the same.
    """
    rivals: dict[str, tuple[Recommender, str]] = {
        BIGRAM: (Bigram(), "retrained"),
        RIVER: (RiverNextItem(), "online"),
    }
    return rivals.get(way) or (OnlineNextItem(seed=seed), way)


def write_days(records: Records) -> None:
    """Write ``learning_live/days.csv``: a row for each recorded day of each way to learn.

    ``ndcg@10`` is the mean over the worlds. ``less frozen`` is the mean difference to the frozen
    model over the last seven days, with the ends of a 95 % interval over these days of all worlds;
    missing before the seventh day.
    """
    curves = [
        read_history(folder / METRICS).assign(model=config["model"], seed=config["seed"])
        for folder, config, _ in records.finished("learning_live")
        if config["variant"] == "days"
    ]
    if not curves:
        return
    wide = pd.concat(curves).pivot_table("ndcg@10", "day", ["model", "seed"])
    tables = []
    for way in wide.columns.unique("model"):
        gap = (wide[way] - wide["frozen"]).dropna(axis=1)
        week = gap.rolling(WEEK)
        mean = week.mean().mean(axis=1)
        half = 1.96 * (week.var().mean(axis=1) / (WEEK * gap.shape[1])) ** 0.5
        columns = {"model": way, "ndcg@10": wide[way].mean(axis=1), "less frozen": mean}
        tables.append(pd.DataFrame(columns | {"low": mean - half, "high": mean + half}))
    path = records.index.parent / "learning_live" / "days.csv"
    write_text(path, pd.concat(tables).round(5).reset_index().to_csv(index=False))


WAYS: dict[str, Callable[[SlateLog, np.ndarray, np.ndarray, np.ndarray], Estimate]] = {
    "IPS": lambda log, q, m, expected: ips(log, q),
    "clipped at 50": lambda log, q, m, expected: ips(log, q, most=50.0),
    "self-normalised": lambda log, q, m, expected: self_normalised(log, q),
    "direct": lambda log, q, m, expected: doubly_robust(log, 0 * q, m, expected),
    "doubly robust": doubly_robust,
    "doubly robust, clipped at 50": (
        lambda log, q, m, expected: doubly_robust(log, q, m, expected, most=50.0)
    ),
}
KINDS = ("logged", "uniform")


def off_policy(world: Dataset, seed: int, names: Sequence[str]) -> Iterator[Measured]:
    """Yield each of the named estimators with its errors on one world."""
    assert world.impressions is not None
    oracle, item_ids = world.oracle, np.sort(world.items["item_id"].to_numpy())
    rows = Interactions.from_frame(world.interactions, item_ids=item_ids)
    middle = int(world.impressions["timestamp"].median())
    past = world.impressions["timestamp"] < middle
    log, early = (SlateLog.from_impressions(world.impressions[part]) for part in (~past, past))
    train = rows.select(rows.timestamps < middle)
    models = {name: make().fit(train, progress=False) for name, make in MODELS.items()}
    histories, _ = histories_before(rows, log.user_ids, log.at)
    before, _ = histories_before(rows, early.user_ids, early.at)

    def features(slates: np.ndarray, some: Histories) -> np.ndarray:
        scores = models["Markov"].score(some)
        scores = np.take_along_axis(scores, np.searchsorted(item_ids, slates), axis=1)
        position = np.broadcast_to(np.log1p(np.arange(SLATE)), slates.shape)
        return np.column_stack([scores.ravel(), position.ravel()])

    clicks = LogisticRegression(C=1e3).fit(features(early.items, before), early.rewards.ravel())

    def chance(slates: np.ndarray) -> np.ndarray:
        return clicks.predict_proba(features(slates, histories))[:, 1].reshape(slates.shape)

    page = FrontPage(oracle, near=1.0)
    shows = {"page": page.show(log.user_ids, log.at, np.random.default_rng(seed))}
    target = {"page": page.propensities(log.user_ids, log.at, log.items)}
    known = np.isin(item_ids, item_ids[train.items]) & np.isin(item_ids, log.items)
    released = world.items.set_index("item_id")["released"].loc[item_ids].to_numpy()
    for name, model in models.items():
        scores = model.score(histories)
        scores[histories.rows, histories.items] = -np.inf
        scores[~known | (released > log.at[:, None])] = -np.inf
        shows[name] = item_ids[top_k(scores, SLATE)]
        target[name] = list_probabilities(log, shows[name])
    true = oracle.click_probability(log.user_ids, np.hstack([*shows.values()]), log.at)
    true = true.reshape(len(log), -1, SLATE) * oracle.examination(np.arange(SLATE))
    truth = dict(zip(shows, true.sum(axis=2).mean(axis=0), strict=True))
    m, expected = chance(log.items), {name: chance(some) for name, some in shows.items()}
    uniform = replace(log, propensities=np.full(log.items.shape, 1 / len(item_ids)))
    for kind, some_log in zip(KINDS, (log, uniform), strict=True):
        for way, estimate in WAYS.items():
            if f"{way}, {kind}" not in names:
                continue
            found = {n: estimate(some_log, target[n], m, expected[n]) for n in shows}
            errors = {f"error {n}": abs(e.value - truth[n]) for n, e in found.items()}
            weights = {f"mean weight {n}": e.mean_weight for n, e in found.items()}
            better = found["EASE"].value > found["Markov"].value
            right = {"right order": float(better == (truth["EASE"] > truth["Markov"]))}
            mean = {"error": float(np.mean([*errors.values()]))}
            metrics = mean | errors | weights | right | {"truth": truth["EASE"]}
            yield Measured(f"{way}, {kind}", metrics)


def streams(world: Dataset, seed: int, ways: Sequence[str]) -> Iterator[Measured]:
    """Yield each way to learn with its NDCG in a stream, and after a domain has opened."""
    items = world.items.set_index("item_id").sort_index()
    is_new = (items["domain"] == NEW_DOMAIN).to_numpy()
    table = world.interactions.drop_duplicates(["user_id", "item_id"])
    rows = Interactions.from_frame(
        table[table["user_id"] <= PEOPLE], item_ids=items.index.to_numpy()
    )
    cuts = np.quantile(rows.timestamps, np.linspace(0.5, 1, PERIODS + 1)).astype(int)
    early = rows.timestamps < cuts[0]
    opening = rows.select(np.where(is_new[rows.items], ~early, early))
    until = cuts[: PERIODS // 2 + 1]
    later = next_events(rows, int(until[-1]))
    questions = {
        name: later[np.flatnonzero(some[later.targets])[:500]]
        for name, some in (("old domains", ~is_new), ("new domain", is_new))
    }
    for way in ways:
        model, strategy = learner(way, seed)
        model.fit(rows.select(early), progress=False)
        curve = run_stream(model, rows, cuts, strategy, penalty=PENALTY, seed=seed)["ndcg@10"]
        if isinstance(model, OnlineNextItem):
            model.set_params(memory=0.0)  # long steps, or nothing of the new domain is learned
        model.fit(opening.select(opening.timestamps < cuts[0]), progress=False)
        run_stream(model, opening, until, strategy, penalty=PENALTY, most=20, seed=seed)
        after = {name: stream_ndcg(model, rows, each) for name, each in questions.items()}
        own = {
            "old domains, own items": stream_ndcg(model, rows, questions["old domains"], ~is_new)
        }
        means = {"stream": float(curve.mean()), "last period": float(curve.iloc[-1])}
        yield Measured(way, means | after | own)


def days(world: Dataset, seed: int, ways: Sequence[str]) -> Iterator[Measured]:
    """Yield each way to learn with its NDCG on each of the last days, learned every night."""
    item_ids = np.sort(world.items["item_id"].to_numpy())
    table = world.interactions.drop_duplicates(["user_id", "item_id"])
    rows = Interactions.from_frame(table, item_ids=item_ids)
    cuts = rows.timestamps.max() + 1 - DAY * np.arange(DAYS, -1, -1)
    before = rows.select(rows.timestamps < cuts[0])
    events = [len(next_events(rows, int(a), int(b))) for a, b in pairwise(cuts)]
    fitted: dict[str, Recommender] = {}
    for way in ways:
        model, strategy = learner(way, seed)
        if model.name not in fitted:  # the ways of one model begin with the same weights
            fitted[model.name] = model.fit(before, progress=False)
        model = copy.deepcopy(fitted[model.name])
        curve = run_stream(model, rows, cuts, strategy, penalty=PENALTY, seed=seed)
        curve = curve.rename(columns={"period": "day"}).assign(events=events)
        last = curve["ndcg@10"].tail(WEEK).mean()
        yield Measured(way, {"days": curve["ndcg@10"].mean(), "last week": last}, curve)


def rounds(world: Dataset, seed: int, kinds: Sequence[str]) -> Iterator[Measured]:
    """Yield each kind of rounds with its means over all rounds and over the last five."""
    assert world.impressions is not None
    item_ids = np.sort(world.items["item_id"].to_numpy())
    middle = int(world.impressions["timestamp"].median())
    table = world.interactions
    table = table[(table["timestamp"] < middle) & (table["user_id"] <= SHOPPERS)]
    rows = Interactions.from_frame(table, item_ids=item_ids)
    shown = np.broadcast_to(item_ids, (rows.n_users, len(item_ids)))
    chances = world.oracle.click_probability(rows.user_ids, shown, middle)
    seen = world.oracle.examination(np.arange(SLATE))
    for kind in kinds:
        how = KINDS_OF_ROUNDS[kind] | {"rounds": ROUNDS, "seed": seed}
        curve = run_rounds(EASE(l2=100.0), rows, chances, seen, **how)
        figures = curve.drop(columns="round")
        last = figures.tail(5).mean().add_suffix(", last five")
        yield Measured(kind, {**figures.mean(), **last}, curve)
