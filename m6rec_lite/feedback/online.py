"""Go through a stream of events: ask, then learn, in one of the ways of ``STRATEGIES``.

frozen      fitted once, before the stream
retrained   fitted anew on everything, after each period
online      one pass over the events of the period
replay      the same, with as many older events, drawn at random, mixed in
ewc         as online, with a penalty on the distance of each weight from its value before the
            stream, in proportion to the Fisher information there (elastic weight
            consolidation, Kirkpatrick et al., 2017)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError, Interactions, Split
from m6rec_lite.data.holdout import Holdout
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import OnlineNextItem, Recommender, next_events
from m6rec_lite.recommenders.online import events_of, period_of

STRATEGIES = ("frozen", "retrained", "online", "replay", "ewc")


def run_stream(
    model: Recommender,
    rows: Interactions,
    cuts: Sequence[int],
    strategy: str,
    *,
    penalty: float = 1.0,
    most: int = 400,
    seed: int = 0,
) -> pd.DataFrame:
    """Go through a stream period by period: first ask, then learn.

    Args:
        model: fitted on the events before the first cut; trained further in place. ``frozen`` and
            ``retrained`` take any recommender, the others one with ``update``.
        rows: all events, with the model's catalogue.
        cuts: ascending unix seconds, the beginnings of the periods and the end of the last one.
        strategy: one of ``STRATEGIES``.
        penalty: factor on the importance of the weights, for ``ewc``.
        most: number of events of a period that are asked, drawn at random.
        seed: seed of these draws and of the replayed events.

    Returns:
        A row for each period: ``period``, and ``ndcg@10`` of its events before they are learned.

    Raises:
        ValueError: if the strategy is unknown, or the cuts are not two or more that ascend.
        TypeError: if the model lacks the method that the strategy needs.
        DataError: if a period has no event with a history.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy must be one of {', '.join(STRATEGIES)}; got {strategy!r}")
    if len(cuts) < 2 or (np.diff(cuts) <= 0).any():
        raise ValueError(f"cuts must be two or more ascending unix seconds; got {list(cuts)[:5]}")
    update: Any = getattr(model, "update", None)
    if update is None and strategy not in ("frozen", "retrained"):
        raise TypeError(f"{model.name} has no update; use 'frozen' or 'retrained'")
    ask, mix = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    if strategy == "ewc":
        if not isinstance(model, OnlineNextItem):
            raise TypeError(f"'ewc' wants an OnlineNextItem, got {model.name}")
        anchor = model.anchor(next_events(rows, until=cuts[0]), penalty)
        update = partial(model.update, anchor=anchor)
    table = []
    for period, (since, until) in enumerate(pairwise(cuts)):
        new = period_of(rows, since, until)
        if not len(new):
            raise DataError(f"period {period} has no event with a history: take longer periods")
        asked = np.sort(ask.permutation(len(new))[:most])
        ndcg = stream_ndcg(model, rows, events_of(rows, new[asked]))
        table.append({"period": period, "ndcg@10": ndcg})
        if strategy == "retrained":
            model.fit(rows.select(rows.timestamps < until), progress=False)
        elif strategy != "frozen":
            if strategy == "replay":
                old = mix.choice(period_of(rows, 0, since), size=len(new))
                new = mix.permutation(np.append(new, old))
            update(events_of(rows, new))
    return pd.DataFrame(table)


def stream_ndcg(
    model: Recommender, rows: Interactions, questions: Holdout, candidates: np.ndarray | None = None
) -> float:
    """Return NDCG@10 of the events whose item is new to the user.

    Args:
        model: fitted.
        rows: the catalogue.
        questions: events with their histories.
        candidates: ``(n_items,)`` bool, the items that are ranked; None for all.
    """
    split = Split("stream", "stream", rows, questions, questions, candidates)
    return evaluate(model, split, k=10, bootstrap=0, progress=False)["ndcg@10"]
