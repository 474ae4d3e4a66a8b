"""What a shopper's past has in common with an item: cosines of attributes, and what follows what.

The strongest features of an impression (``impressions.known_at``, group ``matches``). A past is
weighted in several ways at once (the last event, this visit, the latest events, all of them), since
an intent lasts minutes and a taste lasts years.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.ctr.event_log import EventLog, histories_before
from m6rec_lite.data.ids import find_ids
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import EVENTS
from m6rec_lite.recommenders.base import recency_weights
from m6rec_lite.recommenders.content import TOKENIZERS, item_texts, tf_idf, unit_rows

SESSION = 6 * 3600  #: seconds; events closer than this to now count as the same visit
LATEST = 30  #: events of a history that are read
DECAY = 0.8  #: weight lost with each step back
TRUST = 20.0  #: rows of a prior that smooth a rate


def matches(
    impressions: pd.DataFrame, items: pd.DataFrame, what: np.ndarray, log: Interactions
) -> dict[str, np.ndarray]:
    """Columns such as ``tags_last``: how alike the item and the user's weighted past are.

    The past is a weighted sum of its items' attribute vectors; its product with the candidate's
    vector is a sum of cosines, weighted likewise. Where there are ratings, a past in which liked
    items count for and disliked ones against (``rated``) comes on top.

    Args:
        impressions: ``n`` rows with ``user_id`` and ``timestamp``.
        items: the items' table, by ascending id.
        what: ``(n,)`` the candidates' places in it.
        log: all events; those before each impression are read.

    Returns:
        by name, ``(n,)`` float64.
    """
    users, at = impressions["user_id"].to_numpy(), impressions["timestamp"].to_numpy()
    histories, values = histories_before(log, users, at, latest=LATEST)
    seconds_ago = np.repeat(histories.at, histories.lengths) - histories.timestamps
    horizons = {
        "last": (histories.steps_back == 0).astype(np.float64),
        "visit": (seconds_ago < SESSION).astype(np.float64),
        "recent": recency_weights(histories, DECAY),
        "all": np.repeat(1.0 / np.maximum(histories.lengths, 1), histories.lengths),
    }
    rated = histories.events == EVENTS.index("rate")
    if (log.events == EVENTS.index("rate")).any():  # liked counts for, disliked against
        mean = np.bincount(histories.rows, values * rated, minlength=len(histories))
        mean /= np.maximum(np.bincount(histories.rows, rated, minlength=len(histories)), 1)
        horizons["rated"] = np.where(rated, values - mean[histories.rows], 0.0) * horizons["all"]
    columns: dict[str, np.ndarray] = {}
    attributes = item_attributes(items)
    for horizon, weights in horizons.items():
        past = histories.matrix(weights)  # (n, n_items)
        for name, matrix in attributes.items():
            shared = (past @ matrix).multiply(matrix[what]).sum(axis=1)
            columns[f"{name}_{horizon}"] = np.asarray(shared, dtype=np.float64)
    who, known = find_ids(users, log.user_ids, "user_id")
    pair = log.users.astype(np.int64) * len(items) + log.items
    met = EventLog(pair, log.timestamps).count(np.where(known, who, -1) * len(items) + what, at)
    columns["log_times_met"] = np.log1p(met)
    return columns | lifts(histories, what, log)


def item_attributes(items: pd.DataFrame) -> dict[str, sparse.csr_array]:
    """Each attribute of the items as a matrix with rows of length 1, so that products are cosines.

    Returns:
        by name, ``(n_items, n_values)``: ``domain``, ``category``, ``creator`` and ``tags`` where
        the table has values, and ``words`` (TF-IDF of titles and descriptions).
    """
    matrices = {}
    for name in ("domain", "category", "creator", "tags"):
        if name not in items or not items[name].notna().any():
            continue
        long = pd.Series(objects(items[name])).explode().dropna()
        codes, values = pd.factorize(long)
        entries = (np.ones(len(long)), (long.index.to_numpy(), codes))
        matrices[name] = unit_rows(
            sparse.coo_array(entries, shape=(len(items), len(values))).tocsr()
        )
    texts = item_texts(items, ("title", "description"))
    matrices["words"], _ = tf_idf(texts, TOKENIZERS["cjk-bigrams"])
    return matrices


def lifts(histories: Histories, what: np.ndarray, log: Interactions) -> dict[str, np.ndarray]:
    """How much more often than by its popularity the item had followed upon each of the last three.

    ``log((c(before, item) + t p) / (c(before) + t) / p)`` with ``t = TRUST`` and p the item's share
    of all events so far: 0 where nothing is known. Pairs are neighbours in some user's history.
    """
    n_items = len(log.item_ids)
    neighbours = np.flatnonzero(log.users[1:] == log.users[:-1])
    before, after = log.items[neighbours].astype(np.int64), log.items[neighbours + 1]
    when = log.timestamps[neighbours + 1]
    pairs, firsts = EventLog(before * n_items + after, when), EventLog(before, when)
    met = EventLog(log.items, log.timestamps)
    everything = EventLog(np.zeros(len(log)), log.timestamps)
    at, rows = histories.at, np.arange(len(histories))
    share = (met.count(what, at) + 1.0) / (everything.count(np.zeros(len(at)), at) + n_items)
    columns: dict[str, np.ndarray] = {}
    for back, name in enumerate(("last", "second_last", "third_last")):
        known = histories.lengths > back
        place = np.where(known, histories.offsets[1:] - 1 - back, 0)
        item = histories.items[place].astype(np.int64) if len(histories.items) else 0 * rows
        together = np.where(known, pairs.count(item * n_items + what, at), 0)
        alone = np.where(known, firsts.count(item, at), 0)
        lift = (together + TRUST * share) / ((alone + TRUST) * share)
        columns[f"log_lift_{name}"] = np.log(lift)
    return columns


def objects(values: pd.Series) -> np.ndarray:
    """``(n,)`` objects, None where missing."""
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        missing = value is None or (not isinstance(value, (list, tuple)) and pd.isna(value))
        array[i] = None if missing else value
    return array
