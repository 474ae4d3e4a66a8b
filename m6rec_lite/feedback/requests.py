"""Requests of the bazaar's shoppers: who opens a page, when, and what may be shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import pandas as pd

from m6rec_lite.ctr.event_log import histories_before
from m6rec_lite.ctr.impressions import known_at
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM, Oracle
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_in_range, check_whole

#: Feature groups of ``ctr.known_at`` whose numbers describe an item, a shopper and their match.
GROUPS = ("item", "counts", "matches")
ROWS = 10_000  #: pairs of request and candidate that are read at a time, which bounds memory
CLIP = 4.0  #: standardized features are clipped to this distance from 0


@dataclass(frozen=True, eq=False)
class Requests:
    """``n`` moments at which shoppers open a page, and the ``m`` items that it may show.

    ``features`` holds what is known before each moment. ``click``, ``purchase`` and ``wanted`` are
    true values of the simulator, which no policy may read.

    Attributes:
        user_ids: ``(n,)`` ids of shoppers.
        at: ``(n,)`` int64 unix seconds, ascending.
        item_ids: ``(m,)`` ids of the candidates, ascending; slates hold indices into it.
        names: names of the ``d`` features.
        features: ``(n, m, d)`` float32, standardized; the first, ``bias``, is 1.
        click: ``(n, m)`` true probability of a click on an examined candidate.
        purchase: ``(n, m)`` true probability that a clicked candidate is purchased.
        wanted: ``(n, m)`` bool: the candidate is good in the aspect that the shopper values most.
        oracle: the world that answers.
    """

    user_ids: np.ndarray
    at: np.ndarray
    item_ids: np.ndarray
    names: tuple[str, ...]
    features: np.ndarray
    click: np.ndarray
    purchase: np.ndarray
    wanted: np.ndarray
    oracle: Oracle

    def __len__(self) -> int:
        return len(self.user_ids)

    def __getitem__(self, rows: slice | np.ndarray) -> Self:
        """Return some of the requests, by a slice, a mask or indices."""
        names = ("user_ids", "at", "features", "click", "purchase", "wanted")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @cached_property
    def column(self) -> dict[str, int]:
        """Index of each feature by name."""
        return {name: index for index, name in enumerate(self.names)}


def live_requests(
    dataset: Dataset,
    *,
    n: int = 2000,
    candidates: int = 50,
    recommender: Recommender | None = None,
    since: float = 0.8,
    seed: int = 0,
) -> Requests:
    """Draw requests from the moments of a bazaar's late events.

    The features are the numbers of ``ctr.known_at``, and ``score``, that of the recommender,
    standardized within each request. All describe what was known strictly before the moment; only
    their means and deviations are those of all requests.

    Args:
        dataset: a bazaar with its oracle.
        n: number of requests, at most that of the late events.
        candidates: number of items that may be shown, drawn in proportion to their early events.
        recommender: fitted, with the catalogue of the data set; None scores by popularity.
        since: share of the log that is early; later events give the moments.
        seed: seed of the requests and of the candidates.

    Raises:
        DataError: if the data set has no oracle, or too few events or items.
    """
    check_in_range("since", since, 0, 1)
    oracle = dataset.oracle
    if not isinstance(oracle, Oracle):
        raise DataError(
            f"{dataset.name} is a log, which cannot answer a new slate. A live loop needs a world "
            'with an oracle, such as load_dataset("bazaar")'
        )
    rng = np.random.default_rng(seed)
    log = Interactions.from_frame(dataset.interactions)
    early = log.timestamps <= np.quantile(log.timestamps, since)
    popularity = np.bincount(log.items[early], minlength=log.n_items)
    for what, asked, there in (
        ("requests", check_whole("n", n), int((~early).sum())),
        ("candidates", check_whole("candidates", candidates), np.count_nonzero(popularity)),
    ):
        if asked > there:
            raise DataError(f"{asked} {what} were asked for; the data have {there}: ask for less")
    rows = rng.choice(np.flatnonzero(~early), size=n, replace=False)
    rows = rows[np.argsort(log.timestamps[rows], kind="stable")]
    users, at = log.user_ids[log.users[rows]], log.timestamps[rows]
    share = popularity / popularity.sum()
    chosen = np.sort(rng.choice(log.n_items, size=candidates, replace=False, p=share))
    items = log.item_ids[chosen]
    slates = np.broadcast_to(items, (n, candidates))

    tables, step = [], max(1, ROWS // candidates)
    for batch in (slice(start, start + step) for start in range(0, n, step)):
        ids = {"user_id": users[batch].repeat(candidates), "item_id": slates[batch].ravel()}
        pairs = pd.DataFrame(ids | {"timestamp": at[batch].repeat(candidates)})
        known = known_at(pairs, dataset, groups=GROUPS).select_dtypes("number")
        score = _scores(recommender, log, rows[batch], popularity)[:, chosen]
        tables.append(known.assign(score=score.ravel()))
    table = pd.concat(tables, ignore_index=True)
    table = table.loc[:, table.std() > 1e-9]
    table = ((table - table.mean()) / table.std()).clip(-CLIP, CLIP)
    table.insert(0, "bias", 1.0)
    aspect = oracle.world.shoppers.aspects[users - 1].argmax(axis=1)
    return Requests(
        user_ids=users,
        at=at,
        item_ids=items,
        names=tuple(table),
        features=table.to_numpy(np.float32).reshape(n, candidates, -1),
        click=oracle.click_probability(users, slates, at),
        purchase=oracle.purchase_probability(users, slates),
        wanted=oracle.latents.quality[items - FIRST_ITEM][:, aspect].T > 0,
        oracle=oracle,
    )


def _scores(
    recommender: Recommender | None, log: Interactions, rows: np.ndarray, popularity: np.ndarray
) -> np.ndarray:
    """Return ``(n, n_items)`` scores at the moments of rows of the log, standardized by row."""
    if recommender is None:
        scores = np.tile(np.log1p(popularity), (len(rows), 1))
    else:
        users, at = log.user_ids[log.users[rows]], log.timestamps[rows]
        scores = recommender.score(histories_before(log, users, at)[0])
    scores = scores - scores.mean(axis=1, keepdims=True)
    return scores / np.maximum(scores.std(axis=1, keepdims=True), 1e-12)
