"""A small log of impressions with a planted pattern, and the click models under test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd

from m6rec_lite.ctr.base import ClickModel, MeanRateCTR
from m6rec_lite.ctr.din import DIN
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.ctr.linear import FactorizationMachineCTR, LogisticCTR
from m6rec_lite.data import Card, Dataset, validate
from m6rec_lite.m6rec.click_model import M6RecCTR

DAY = 86_400
START = 1_700_000_000
TAGS = ["hiking", "jazz", "baking", "chess"]


@cache
def world(seed: int = 0, n_users: int = 150) -> Dataset:
    """Impressions that are clicked when the user just met an item of the same tag."""
    rng = np.random.default_rng(seed)
    n_items = 48
    tag = np.arange(n_items) % len(TAGS)
    items = pd.DataFrame(
        {
            "item_id": 100 + 7 * np.arange(n_items),
            "domain": np.where(np.arange(n_items) < 24, "shop", "posts"),
            "category": [f"kind {i % 6}" for i in range(n_items)],
            "title": [f"{TAGS[t]} number {i}" if i % 5 else f"徒步 {i}" for i, t in enumerate(tag)],
            "tags": [[TAGS[t], f"style {i % 3}"] for i, t in enumerate(tag)],
            "creator": [f"maker {i % 9}" for i in range(n_items)],
            "price": np.where(np.arange(n_items) < 24, 5.0 + np.arange(n_items), np.nan),
            "released": START - DAY * 100,
        }
    )
    users = pd.DataFrame(
        {
            "user_id": 1 + np.arange(n_users),
            "gender": rng.choice(["woman", "man"], n_users),
            "city": rng.choice(["Oslo", "Madrid"], n_users),
        }
    )
    events, shown = [], []
    for user in users.user_id:
        now = START + int(rng.integers(0, 40 * DAY))
        for _ in range(int(rng.integers(3, 7))):
            last = int(rng.integers(n_items))
            events.append((user, items.item_id[last], now, "click", 1.0))
            now += int(rng.integers(30, 600))
            for position, what in enumerate(rng.permutation(n_items)[:5]):
                chance = (0.85 if tag[what] == tag[last] else 0.04) * (1 - 0.08 * position)
                click = bool(rng.random() < chance)
                bought = click and bool(rng.random() < (0.7 if what < 24 else 0.1))
                slate = (len(shown) // 5, user, items.item_id[what], now, position)
                shown.append((*slate, 0.1, 1.0, click, bought))
            now += int(rng.integers(60, 5 * DAY))
    names = ["user_id", "item_id", "timestamp", "event", "value"]
    columns = ["slate_id", "user_id", "item_id", "timestamp", "position", "propensity",
               "examination", "clicked", "purchased"]  # fmt: skip
    days = pd.date_range(pd.Timestamp(START, unit="s").normalize(), periods=120, unit="s")
    weather = pd.DataFrame(
        [(c, d, 1.0, "snow" if d.day % 2 else "sunny") for c in ("Oslo", "Madrid") for d in days],
        columns=["city", "date", "temperature", "condition"],
    )
    return Dataset(
        name="small world",
        interactions=validate("interactions", pd.DataFrame(events, columns=names)),
        items=validate("items", items),
        users=validate("users", users),
        impressions=validate("impressions", pd.DataFrame(shown, columns=columns)),
        weather=validate("weather", weather),
        card=Card("small world", "none", "a test"),
    )


def before(dataset: Dataset, moment: int) -> Dataset:
    """The data set as it was: no row of the moment or later."""
    parts = {n: getattr(dataset, n) for n in ("interactions", "impressions")}
    return replace(dataset, **{n: t[t["timestamp"] < moment] for n, t in parts.items()})


CASES: dict[str, Callable[..., ClickModel]] = {
    "MeanRateCTR": MeanRateCTR,
    "LogisticCTR": lambda **k: LogisticCTR(l2=3, bins=0, **k),
    "LogisticCTR bins": lambda **k: LogisticCTR(l2=3, bins=5, **k),
    "FactorizationMachineCTR": lambda **k: FactorizationMachineCTR(
        factors=4, epochs=20, lr=0.01, regularization=0.3, batch_size=100, **k
    ),
    "DIN": lambda **k: DIN(hidden=(16,), epochs=8, lr=0.01, batch_size=128, dropout=0.0, **k),
    "DIN all": lambda **k: DIN(
        hidden=(16,), epochs=5, batch_size=128, lr=0.01, activation="prelu", regularization=0.01,
        statistics=("counts", "matches"), use_gaps=False, use_tags=False, **k
    ),
    "M6RecCTR": lambda **k: M6RecCTR(
        feature_groups=("matches",), events=1, vocab_size=1000, negatives=1, epochs=1,
        averaging=0.9, **k
    ),
}  # fmt: skip


@cache
def parts() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    return split_by_time(world().impressions, validation=0.1, test=0.2)


@cache
def fitted(case: str) -> ClickModel:
    train, validation, _ = parts()
    return CASES[case]().fit(train, world(), validation=validation, progress=False)
