"""Features of impressions, computed from what was known at their timestamps.

``known_at`` computes the columns of each impression (a user, an item, a timestamp and possibly a
position): texts and lists are categories, numbers are numeric features. All features use strictly
earlier rows of the interactions and impressions (``event_log``), both for training and for test.
Two columns of the impressions are not used:

- ``propensity``, the score of the logging policy, since it would leak the knowledge of another
  recommender and changes with the policy;
- ``examination``, which is unknown outside a simulator; models estimate it from ``position``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from m6rec_lite.ctr.event_log import EventLog, indices_of
from m6rec_lite.ctr.matches import TRUST, matches, objects
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.recommenders.content import CJK

#: Names of the feature groups of ``known_at``.
GROUPS: tuple[str, ...] = ("item", "user", "context", "counts", "matches")

DAY = 86_400  #: seconds


def known_at(
    impressions: pd.DataFrame, dataset: Dataset, *, groups: Sequence[str] = GROUPS
) -> pd.DataFrame:
    """Compute the features of impressions from earlier rows of the data set.

    The groups are: ``item``: id and attributes, price, age since release, script of the title.
    ``user``: attributes. ``context``: position, month, weekday, part of the day, weather.
    ``counts``: number of events, click rate and mean rating of the item and of the user, and time
    since the user's last event. ``matches``: similarity of the item and the user's history in tags,
    category, creator, words and so on, for the last event, this visit and the latest events; and
    how often the item follows the last items of the history, relative to its popularity.

    Args:
        impressions: columns ``user_id item_id timestamp``, and ``position`` for slates.
        dataset: the data set of the impressions; may have later rows, which are not used.
        groups: groups to compute, names of ``GROUPS``.

    Returns:
        One row per impression, in order. Numbers are float64 without NaN; categories are objects,
        None if unknown; ``tags`` are lists.

    Raises:
        DataError: on a missing column, an item the catalogue lacks, or a user the table lacks.
        ValueError: on an unknown group, or none.
    """
    if not len(groups) or any(group not in GROUPS for group in groups):
        raise ValueError(f"groups must name some of {GROUPS}; got {tuple(groups)}")
    missing = [c for c in ("user_id", "item_id", "timestamp") if c not in impressions]
    if missing:
        raise DataError(
            f"impressions need user_id, item_id and timestamp; {missing} missing among "
            f"{list(impressions.columns)}"
        )
    items = dataset.items.sort_values("item_id").reset_index(drop=True)
    candidates = indices_of(items["item_id"].to_numpy(), impressions["item_id"].to_numpy(), "item")
    log = Interactions.from_frame(dataset.interactions, item_ids=items["item_id"].to_numpy())
    columns: dict[str, object] = {}
    if "item" in groups:
        columns |= _of_items(items, candidates, impressions["timestamp"].to_numpy())
    if "user" in groups:
        columns |= _of_users(dataset.users, impressions)
    if "context" in groups:
        columns |= _of_context(impressions, dataset)
    if "counts" in groups:
        columns |= _counts(impressions, dataset)
    if "matches" in groups:
        columns |= matches(impressions, items, candidates, log)
    return pd.DataFrame(columns)


def split_by_time(
    impressions: pd.DataFrame, *, validation: float = 0.1, test: float = 0.1
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Split impressions at two points in time into train, validation and test.

    Rows with equal timestamps, and so slates, stay together. A random split would leak the future:
    positions of the same slate could be in train and in test.

    Args:
        impressions: table with a column ``timestamp``.
        validation: share of the rows before the test rows, approximately.
        test: share of the latest rows, approximately.

    Returns:
        Three tables, each in the order of ``impressions``.

    Raises:
        ValueError: if the shares are not above 0 and together below 1.
        DataError: if a part is empty.
    """
    if not (validation > 0 and test > 0 and validation + test < 1):
        raise ValueError(
            f"validation and test are shares of the rows, each above 0 and together below 1; got "
            f"validation={validation}, test={test}"
        )
    at = impressions["timestamp"].to_numpy()
    ordered = np.sort(at)
    cuts = [ordered[int(len(at) * share)] for share in (1 - validation - test, 1 - test) if len(at)]
    period = np.searchsorted(cuts, at, side="right")
    sizes = np.bincount(period, minlength=3)
    if len(at) == 0 or not sizes.all():
        raise DataError(
            f"{len(at)} impressions cannot be cut in three by time: train, validation and test "
            f"would have {sizes.tolist()} rows; use more rows, or other shares"
        )
    return impressions[period == 0], impressions[period == 1], impressions[period == 2]


def _of_items(items: pd.DataFrame, index: np.ndarray, at: np.ndarray) -> dict[str, object]:
    columns: dict[str, object] = {"item_id": items["item_id"].to_numpy()[index].astype(object)}
    for name in ("domain", "category", "creator", "tags"):
        if name in items and items[name].notna().any():
            columns[name] = objects(items[name])[index]
    titles = items["title"].fillna("") if "title" in items else pd.Series([""] * len(items))
    han = titles.str.contains(f"[{CJK}]", flags=re.UNICODE).to_numpy(dtype=bool)
    columns["script"] = np.where(han, "Chinese", "Latin").astype(object)[index]
    prices = items["price"].to_numpy(np.float64, na_value=np.nan)
    if not np.isnan(prices).all():
        columns["log_price"] = np.log1p(np.nan_to_num(prices))[index]
        columns["has_price"] = (~np.isnan(prices)).astype(np.float64)[index]
    released = items["released"].to_numpy(np.float64, na_value=np.nan)[index]
    days = np.nan_to_num((at - released) / DAY)
    columns["log_days_since_release"] = np.log1p(np.maximum(days, 0.0))
    return columns


def _of_users(users: pd.DataFrame, impressions: pd.DataFrame) -> dict[str, object]:
    table = users.sort_values("user_id")
    index = indices_of(table["user_id"].to_numpy(), impressions["user_id"].to_numpy(), "user")
    return {str(name): objects(table[name])[index] for name in users if name != "user_id"}


def _of_context(impressions: pd.DataFrame, dataset: Dataset) -> dict[str, object]:
    times = pd.to_datetime(impressions["timestamp"], unit="s")
    columns: dict[str, object] = {}
    if "position" in impressions:
        columns["position"] = impressions["position"].astype(int).to_numpy().astype(object)
    columns["month"] = times.dt.month_name().to_numpy(dtype=object)
    columns["weekday"] = times.dt.day_name().to_numpy(dtype=object)
    columns["part_of_day"] = (times.dt.hour // 4).to_numpy().astype(object)
    if dataset.weather is not None and "city" in dataset.users:
        cities = impressions[["user_id"]].merge(
            dataset.users[["user_id", "city"]].astype({"city": object}), on="user_id", how="left"
        )
        cities["date"] = times.dt.normalize().astype("datetime64[s]").to_numpy()
        weather = dataset.weather.astype({"city": object})
        merged = cities.merge(weather, on=["city", "date"], how="left")
        columns["weather"] = objects(merged["condition"])
    return columns


def _counts(impressions: pd.DataFrame, dataset: Dataset) -> dict[str, object]:
    users, items, at = (impressions[c].to_numpy() for c in ("user_id", "item_id", "timestamp"))
    rows = dataset.interactions
    by_item = EventLog(rows["item_id"].to_numpy(), rows["timestamp"].to_numpy())
    by_user = EventLog(rows["user_id"].to_numpy(), rows["timestamp"].to_numpy())
    columns: dict[str, object] = {
        "log_item_events": np.log1p(by_item.count(items, at)),
        "log_item_events_month": np.log1p(by_item.count(items, at, within=30 * DAY)),
        "log_user_events": np.log1p(by_user.count(users, at)),
        "log_hours_idle": np.log1p(np.minimum(by_user.since(users, at), 400 * DAY) / 3600),
    }
    tables = {}
    if dataset.impressions is not None:
        tables["click_rate"] = (dataset.impressions, "clicked")
    if (rows["event"] == "rate").any():
        tables["rating"] = (rows[rows["event"] == "rate"], "value")
    for suffix, (table, value) in tables.items():
        for name, keys in (("item", items), ("user", users)):
            log = EventLog(
                table[f"{name}_id"].to_numpy(),
                table["timestamp"].to_numpy(),
                table[value].to_numpy(),
            )
            columns[f"{name}_{suffix}"] = _rate(log, keys, at)
    return columns


def _rate(log: EventLog, keys: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Compute the mean weight of each key before ``at``, smoothed towards the mean of all keys."""
    overall = EventLog(np.zeros(len(log)), log.timestamps, log.weights)
    zeros = np.zeros(len(at))
    prior = overall.total(zeros, at) / np.maximum(overall.count(zeros, at), 1)
    return (log.total(keys, at) + TRUST * prior) / (log.count(keys, at) + TRUST)
