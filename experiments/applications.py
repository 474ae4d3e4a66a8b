"""Measure four applications on several worlds: friends, auctions, moods of news, and alarms.

    python -m experiments applications --part friends --seeds 1 2 3
    python -m experiments applications --part auction --seeds 1 2 3
    python -m experiments applications --part news --seeds 0 1 2 3 4

``friends``: lists for people of whom the latest event is known at most, from the text of that
event, from what their friends took, and from popularity. ``auction``: the profit of an advertiser
whose bids are the value of a click times a predicted click rate. ``news``: classifiers of the mood
of texts, and the days until an alarm after a shock, from true and from predicted moods. Each model
is a record for each seed, a world of its own (``news``: streams of its own).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from experiments.records import Records, RunKey, summary
from m6rec_lite.ctr import LogisticCTR, second_price, split_by_time
from m6rec_lite.data import Dataset, friendships, leave_one_out, load_dataset, news
from m6rec_lite.data.bazaar import generate
from m6rec_lite.evaluation import (
    FixedScores,
    Report,
    auc,
    evaluate,
    judge_alarm,
)
from m6rec_lite.evaluation.text import tokens
from m6rec_lite.language import NGramClassifier
from m6rec_lite.recommenders import ContentBased, Popularity, friend_scores

FRIEND_PRIOR = 100.0  #: chosen on the validation questions of seed 0
KEPT = 0.1  #: share of the rows without a click that a model of clicks is trained on
RIVALS = (0.03, 0.8)  #: highest other bid: median, and deviation of its logarithm
QUIET, DAYS, SERIES = 120, 60, 4000  #: quiet days to learn from; days and number of judged series

Found = tuple[str, dict[str, float], Report | None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("--part", choices=sorted(PARTS), default="friends")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])


def run(options: argparse.Namespace) -> None:
    """Measure and record the seeds that are not recorded."""
    records = Records(options.root / "results")
    measure, names = PARTS[options.part]
    for seed in options.seeds:
        keys = {n: RunKey("applications", "bazaar", n, options.part, seed) for n in names}
        if all(map(records.is_recorded, keys.values())) and not options.again:
            print(f"{options.part}, seed {seed}: recorded")
            continue
        for name, metrics, report in measure(seed):
            metrics = {n: round(float(value), 5) for n, value in metrics.items()}
            found: dict[str, Any] = {} if report is None else summary(report)
            split = {} if report is None else {"split_hash": report.split_hash}
            records.start(keys[name], command=options.command, **split)
            records.finish(keys[name], found | {"metrics": metrics}, ranks=report)
            print(f"seed {seed}, {name}: {metrics}")
    records.write_metrics("applications", "bazaar")


def friends(seed: int) -> Iterator[Found]:
    """Yield the rankings of people of whom at most the latest event is known."""
    world = generate(seed=seed, progress=False)
    split, pairs = leave_one_out(world), friendships(world.oracle.world)
    histories = split.test.histories
    popularity = Popularity().fit(split.train, progress=False)
    text = ContentBased().fit(split.train, items=world.items, progress=False)
    scores = {
        "popularity": popularity.score(histories),
        "friends": friend_scores(split.train, pairs, histories.user_ids, prior=FRIEND_PRIOR),
        "text of the latest event": text.score(histories.last(1)),
    }
    for name, matrix in scores.items():
        model = FixedScores(split.item_ids, histories.user_ids, matrix, name)
        report = evaluate(model, split, k=10, progress=False)
        yield name, {key: report.metrics[key] for key in ("ndcg@10", "hr@10")}, report


def auction(seed: int) -> Iterator[Found]:
    """Yield the profit of bids from several click rates, a thousand auctions, and their AUC."""
    world = generate(seed=seed, progress=False)
    assert world.impressions is not None
    rng = np.random.default_rng(seed)
    train, _, test = split_by_time(world.impressions, test=0.2)
    thinned = train[train["clicked"] | (rng.random(len(train)) < KEPT)]
    raw = LogisticCTR().fit(thinned, world, progress=False).predict(test, world)
    others = rng.lognormal(np.log(RIVALS[0]), RIVALS[1], len(test))
    clicked = test["clicked"].to_numpy()
    rates = {
        "raw": raw,
        "corrected": raw / (raw + (1 - raw) / KEPT),
        "mean rate": np.full(len(test), train["clicked"].mean()),
        "true": _true_rates(world, test),
    }
    for name, rate in rates.items():
        bought = second_price(rate, others)
        metrics = {
            "profit": 1000 * bought.profit(clicked).mean(),
            "won": bought.won.mean(),
            "auc": auc(clicked, rate),
            "mean rate": rate.mean(),
        }
        yield name, metrics, None


def _true_rates(world: Dataset, rows: pd.DataFrame) -> np.ndarray:
    columns = (rows[name].to_numpy() for name in ("user_id", "item_id", "timestamp", "position"))
    return world.oracle.click_probability(*columns)


def moods(seed: int) -> Iterator[Found]:
    """Yield the accuracy and perplexity of classifiers, and the delay of alarms."""
    world = load_dataset("bazaar").oracle.world
    streams = [news(world, days=QUIET, seed=10 * seed + part) for part in range(3)]
    struck = news(world, days=QUIET, shock=0, seed=10 * seed + 3)
    train, test = (_sentences(streams[part]) for part in (0, 1))
    best = None
    for smoothing in ("add-k", "kneser-ney"):
        for order in (1, 3):
            model = NGramClassifier(order, smoothing).fit(train, streams[0]["mood"].tolist())
            right = (model.predict(test) == streams[1]["mood"].to_numpy()).mean()
            each = [
                model.models_[model.classes_.index(mood)].token_logprobs([sentence])
                for sentence, mood in zip(test, streams[1]["mood"], strict=True)
            ]
            perplexity = np.exp(-np.concatenate(each).mean())
            yield f"{smoothing}, order {order}", {"accuracy": right, "perplexity": perplexity}, None
            best = model if (smoothing, order) == ("add-k", 3) else best
    assert best is not None
    labels: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {
        "true moods": lambda stream: stream["mood"].to_numpy(),
        "predicted moods": lambda stream: best.predict(_sentences(stream)),
    }
    for name, label in labels.items():
        learned, other, after = (
            pd.Series(label(stream) == "negative").groupby(stream["day"]).mean().to_numpy()
            for stream in (*streams[1:], struck)
        )
        found = judge_alarm(learned, other, after, n_series=SERIES, n_days=DAYS, seed=seed)
        metrics = {"delay": found.delay, "false alarms": found.false_alarms}
        yield name, metrics | {"missed": found.missed}, None


def _sentences(stream: pd.DataFrame) -> list[list[str]]:
    return [tokens(text) for text in stream["text"]]


PARTS: dict[str, tuple[Callable[[int], Iterator[Found]], list[str]]] = {
    "friends": (friends, ["popularity", "friends", "text of the latest event"]),
    "auction": (auction, ["raw", "corrected", "mean rate", "true"]),
    "news": (
        moods,
        [f"{way}, order {order}" for way in ("add-k", "kneser-ney") for order in (1, 3)]
        + ["true moods", "predicted moods"],
    ),
}
