"""Rounds of a recommender that learns from the clicks on its own lists, in a simulated world.

Each round the model ranks, some positions show a random item instead (*exploration*), the shoppers
respond, and the model is fitted again on the log and all clicks so far. What is never shown is
never clicked, so the lists may narrow; a model that does not learn is the control.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from m6rec_lite.data import EVENTS, DataError, Interactions
from m6rec_lite.recommenders import Recommender, top_k


def run_rounds(
    model: Recommender,
    rows: Interactions,
    chances: np.ndarray,
    examination: np.ndarray,
    *,
    rounds: int = 50,
    explore: float = 0.0,
    learns: bool = True,
    seed: int = 0,
) -> pd.DataFrame:
    """Show one slate to each user in each round.

    Args:
        model: unfitted; it is fitted on ``rows``, and again after each round if it learns.
        rows: the log before the first round.
        chances: ``(n_users, n_items)`` probability of a click on each item, once examined.
        examination: ``(k,)`` probability that each position is examined.
        rounds: number of rounds.
        explore: probability that a position shows a random item instead of the model's.
        learns: whether clicks are learned; if not, clicked items leave the lists all the same.
        seed: seed of the draws.

    Returns:
        A row for each round: expected ``clicks`` of a slate as shown; ``clicks of the model``, of
        its lists without random items; and of these lists ``coverage`` (share of the catalogue),
        ``tail`` (share of positions with an item outside the most popular fifth of ``rows``) and
        ``gini`` (of how often each item is in a list).

    Raises:
        DataError: if the chances have another shape or are not probabilities.
        ValueError: if ``explore`` is not in [0, 1].
    """
    shape = (rows.n_users, rows.n_items)
    if chances.shape != shape or not ((chances >= 0) & (chances <= 1)).all():
        raise DataError(f"chances must be probabilities of shape {shape}, without NaN")
    if not 0 <= explore <= 1:
        raise ValueError(f"explore must be a probability from 0 to 1; got {explore}")
    rng, user = np.random.default_rng(seed), np.arange(rows.n_users)[:, None]
    popularity = np.bincount(rows.items, minlength=rows.n_items)
    is_tail = np.argsort(np.argsort(-popularity, kind="stable")) >= rows.n_items / 5
    log = rows
    table: list[dict[str, float]] = []
    model.fit(rows, progress=False)
    for number in range(rounds):
        histories = log.histories()
        scores = model.score(histories)
        scores[histories.rows, histories.items] = -np.inf
        best = top_k(scores, len(examination))
        shown = np.where(rng.random(best.shape) < explore, _random_items(best, scores, rng), best)
        exposure = np.bincount(best.ravel(), minlength=rows.n_items)
        clicks = [(chances[user, each] * examination).sum(1).mean() for each in (shown, best)]
        figures = {"clicks": clicks[0], "clicks of the model": clicks[1]}
        figures |= {"coverage": np.mean(exposure > 0), "tail": is_tail[best].mean()}
        table.append({"round": number} | figures | {"gini": gini(exposure)})
        clicked = rng.random(shown.shape) < chances[user, shown] * examination
        log = _with_clicks(log, np.nonzero(clicked)[0], shown[clicked])
        if learns:
            model.fit(log, progress=False)
    return pd.DataFrame(table)


def gini(exposure: np.ndarray) -> float:
    """Return the Gini coefficient of ``(n_items,)`` counts: 0 if equal, near 1 if one has all.

    Raises:
        DataError: if nothing was shown.
    """
    ordered = np.sort(np.asarray(exposure, dtype=np.float64))
    n, total = len(ordered), ordered.sum()
    if not total > 0:
        raise DataError("gini wants how often each item was shown; nothing was shown")
    return float(2 * (np.arange(1, n + 1) @ ordered) / (n * total) - (n + 1) / n)


def _random_items(best: np.ndarray, scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw for each position an item outside the list and the history: ``(n, k)``."""
    keys = np.where(np.isneginf(scores), -1.0, rng.random(scores.shape))
    np.put_along_axis(keys, best, -1.0, axis=1)
    return top_k(keys, best.shape[1])


def _with_clicks(log: Interactions, users: np.ndarray, items: np.ndarray) -> Interactions:
    """Return the log with clicks, each after the last event of its user."""
    order = np.argsort(np.append(log.users, users), kind="stable")

    def joined(old: np.ndarray, new: np.ndarray | float) -> np.ndarray:
        new = np.broadcast_to(new, len(users))
        return np.append(old, new.astype(old.dtype))[order]

    return replace(
        log,
        users=joined(log.users, users),
        items=joined(log.items, items),
        timestamps=joined(log.timestamps, log.timestamps.max(initial=0) + 1),
        events=joined(log.events, EVENTS.index("click")),
        values=joined(log.values, 1.0),
    )
