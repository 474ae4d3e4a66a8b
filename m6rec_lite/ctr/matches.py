"""Similarity features of a user's history and a candidate item, and lifts of item transitions.

These are the features of the group ``matches`` of ``impressions.known_at``. The history is weighted
in several ways (last event, current visit, recent events, all events), since an intent lasts for
minutes and a preference for years.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.ctr.event_log import EventLog, histories_before
from m6rec_lite.data.ids import find_ids
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import EVENTS
from m6rec_lite.recommenders.content import TOKENIZERS, item_texts, tf_idf, unit_rows

SESSION = 6 * 3600  #: maximum age in seconds of an event of the current visit
LATEST = 30  #: maximum number of latest events of a history
DECAY = 0.8  #: factor on the weight of an event for each step back
TRUST = 20.0  #: number of pseudo-observations that smooth a rate


def matches(
    impressions: pd.DataFrame, items: pd.DataFrame, candidates: np.ndarray, log: Interactions
) -> dict[str, np.ndarray]:
    """Compute the similarity of each candidate and the user's history, such as ``tags_last``.

    A feature is the weighted sum of the cosine similarities of the candidate and the items of the
    history in one attribute. With ratings, the weights ``rated`` are positive for items rated above
    the user's mean and negative for items rated below.

    Args:
        impressions: ``n`` rows with ``user_id`` and ``timestamp``.
        items: the items table, by ascending id.
        candidates: ``(n,)`` row numbers of the candidates in ``items``.
        log: all events; only events before each impression are used.

    Returns:
        ``(n,)`` float64 columns by name.
    """
    users, at = impressions["user_id"].to_numpy(), impressions["timestamp"].to_numpy()
    histories, values = histories_before(log, users, at, latest=LATEST)
    seconds_ago = np.repeat(histories.at, histories.lengths) - histories.timestamps
    weightings = {
        "last": (histories.steps_back == 0).astype(np.float64),
        "visit": (seconds_ago < SESSION).astype(np.float64),
        "recent": DECAY ** histories.steps_back.astype(np.float64),
        "all": np.repeat(1.0 / np.maximum(histories.lengths, 1), histories.lengths),
    }
    rated = histories.events == EVENTS.index("rate")
    if (log.events == EVENTS.index("rate")).any():
        total = np.bincount(histories.rows, values * rated, minlength=len(histories))
        count = np.bincount(histories.rows, rated, minlength=len(histories))
        centred = values - (total / np.maximum(count, 1))[histories.rows]
        weightings["rated"] = np.where(rated, centred, 0.0) * weightings["all"]
    columns: dict[str, np.ndarray] = {}
    attributes = item_attributes(items)
    for weighting, weights in weightings.items():
        profile = histories.matrix(weights)  # (n, n_items)
        for name, matrix in attributes.items():
            similarity = (profile @ matrix).multiply(matrix[candidates]).sum(axis=1)
            columns[f"{name}_{weighting}"] = np.asarray(similarity, dtype=np.float64)
    index, known = find_ids(users, log.user_ids, "user_id")
    pairs = EventLog(log.users.astype(np.int64) * len(items) + log.items, log.timestamps)
    times_met = pairs.count(np.where(known, index, -1) * len(items) + candidates, at)
    columns["log_times_met"] = np.log1p(times_met)
    return columns | lifts(histories, candidates, log)


def item_attributes(items: pd.DataFrame) -> dict[str, sparse.csr_array]:
    """Encode each attribute of the items as a matrix with rows of unit length.

    Returns:
        ``(n_items, n_values)`` matrices by name: ``domain``, ``category``, ``creator`` and ``tags``
        if the table has values, and ``words`` (TF-IDF of titles and descriptions).
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


def lifts(histories: Histories, candidates: np.ndarray, log: Interactions) -> dict[str, np.ndarray]:
    """Compute the lift of the candidate after each of the last three items of the history.

    With ``c(i, j)`` the number of times that j directly follows i so far, the log lift is
    ``log((c(i, j) + t p) / (c(i) + t) / p)``, where ``t = TRUST`` and p is the smoothed share of j
    among all events so far. It is 0 without observations.
    """
    n_items = len(log.item_ids)
    first = np.flatnonzero(log.users[1:] == log.users[:-1])  # rows with a next row of the user
    before, after = log.items[first].astype(np.int64), log.items[first + 1]
    timestamps = log.timestamps[first + 1]
    pair_log = EventLog(before * n_items + after, timestamps)
    first_log = EventLog(before, timestamps)
    item_log = EventLog(log.items, log.timestamps)
    overall = EventLog(np.zeros(len(log)), log.timestamps)
    at, zeros = histories.at, np.zeros(len(histories))
    share = (item_log.count(candidates, at) + 1.0) / (overall.count(zeros, at) + n_items)
    columns: dict[str, np.ndarray] = {}
    for back, name in enumerate(("last", "second_last", "third_last")):
        known = histories.lengths > back
        event = np.where(known, histories.offsets[1:] - 1 - back, 0)
        item = np.zeros(len(histories), dtype=np.int64)
        if len(histories.items):
            item = histories.items[event].astype(np.int64)
        pairs = np.where(known, pair_log.count(item * n_items + candidates, at), 0)
        firsts = np.where(known, first_log.count(item, at), 0)
        lift = (pairs + TRUST * share) / ((firsts + TRUST) * share)
        columns[f"log_lift_{name}"] = np.log(lift)
    return columns


def objects(values: pd.Series) -> np.ndarray:
    """Return the values as an ``(n,)`` array of objects, None for missing values."""
    array = np.empty(len(values), dtype=object)
    for i, value in enumerate(values):
        missing = value is None or (not isinstance(value, (list, tuple)) and pd.isna(value))
        array[i] = None if missing else value
    return array
