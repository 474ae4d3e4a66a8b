"""Features of an impression: what was known of it at its moment, as a table people can read.

``known_at`` turns each impression (a user, an item, a moment, perhaps a position) into columns:
texts and lists are categories, numbers are numbers. Nothing in a row comes from its own second or
later, neither from the interactions nor from the log of impressions (``past``), so features made
for training and for the test period obey one rule. What is left out, and why:

- the logging policy's ``propensity``: it is a score by another recommender, which would leak that
  one's knowledge, and changes with the policy;
- the true ``examination`` of a position, which outside a simulator nobody knows; models learn
  their own from ``position``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from m6rec_lite.ctr.event_log import EventLog, places
from m6rec_lite.ctr.matches import TRUST, matches, objects
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.tables import DataError, Dataset
from m6rec_lite.recommenders.content import CJK

#: What ``known_at`` can tell, by name.
GROUPS: tuple[str, ...] = ("item", "user", "context", "counts", "matches")

DAY = 86_400  #: seconds


def known_at(
    impressions: pd.DataFrame, dataset: Dataset, *, groups: Sequence[str] = GROUPS
) -> pd.DataFrame:
    """Describe impressions by what was known at their timestamps.

    ``item``: id and attributes, price, age since release, the script of its title. ``user``:
    attributes. ``context``: position, month, weekday, part of the day, weather. ``counts``: how
    often the item was met and shown and clicked so far, how often this user clicked so far, time
    since the last event; mean ratings so far, where there are ratings. ``matches``: what the
    user's own past has in common with the item (tags, category, creator, words, ...), at the last
    event, in this visit and over the latest events; and how much more often than others the item
    followed upon the last ones.

    Args:
        impressions: columns ``user_id item_id timestamp``, and ``position`` where there are slates.
        dataset: the log; its rows may go on after the impressions, later ones are not looked at.
        groups: which of ``GROUPS`` to tell.

    Returns:
        One row an impression, in order. Numbers are float64 without NaN; categories are objects,
        None where unknown; ``tags`` are lists.

    Raises:
        DataError: on a missing column, an item the catalogue lacks, or a user the table lacks.
        ValueError: on an unknown group, or none.
    """
    strange = [group for group in groups if group not in GROUPS]
    if strange or not len(groups):
        raise ValueError(f"groups must name some of {GROUPS}; got {tuple(groups)}")
    missing = [c for c in ("user_id", "item_id", "timestamp") if c not in impressions]
    if missing:
        raise DataError(
            f"impressions need user_id, item_id and timestamp; {missing} missing among "
            f"{list(impressions.columns)}"
        )
    items = dataset.items.sort_values("item_id").reset_index(drop=True)
    what = places(items["item_id"].to_numpy(), impressions["item_id"].to_numpy(), "item")
    log = Interactions.from_frame(dataset.interactions, item_ids=items["item_id"].to_numpy())
    columns: dict[str, object] = {}
    if "item" in groups:
        columns |= _of_items(items, what, impressions["timestamp"].to_numpy())
    if "user" in groups:
        columns |= _of_users(dataset.users, impressions)
    if "context" in groups:
        columns |= _of_moments(impressions, dataset)
    if "counts" in groups:
        columns |= _counts(impressions, dataset)
    if "matches" in groups:
        columns |= matches(impressions, items, what, log)
    return pd.DataFrame(columns)


def split_by_time(
    impressions: pd.DataFrame, *, validation: float = 0.1, test: float = 0.1
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cut impressions at two moments of the one calendar: train, validation, test.

    The last ``test`` of the rows and the ``validation`` before them lie behind the cuts; rows of
    one moment, and so slates, stay together. A random cut would let models learn next week's
    fashion from one place of a slate and be asked about another place of it.

    Returns:
        three tables, each in the order of ``impressions``, with its labels.

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
    clock = np.sort(at)
    cuts = [clock[int(len(clock) * share)] for share in (1 - validation - test, 1 - test)
            if len(clock)]  # fmt: skip
    period = np.searchsorted(cuts, at, side="right")
    sizes = np.bincount(period, minlength=3)
    if len(clock) == 0 or not sizes.all():
        raise DataError(
            f"{len(clock)} impressions cannot be cut in three by time: train, validation and test "
            f"would have {sizes.tolist()} rows; bring more rows, or other shares"
        )
    return tuple(impressions[period == part] for part in range(3))


def _of_items(items: pd.DataFrame, what: np.ndarray, at: np.ndarray) -> dict[str, object]:
    columns: dict[str, object] = {"item_id": items["item_id"].to_numpy()[what].astype(object)}
    for name in ("domain", "category", "creator", "tags"):
        if name in items and items[name].notna().any():
            columns[name] = objects(items[name])[what]
    titles = items["title"].fillna("") if "title" in items else pd.Series([""] * len(items))
    han = titles.str.contains(f"[{CJK}]", flags=re.UNICODE).to_numpy(dtype=bool)
    columns["script"] = np.where(han, "Chinese", "Latin").astype(object)[what]
    prices = items["price"].to_numpy(np.float64, na_value=np.nan)
    if not np.isnan(prices).all():
        columns["log_price"] = np.log1p(np.nan_to_num(prices))[what]
        columns["has_price"] = (~np.isnan(prices)).astype(np.float64)[what]
    released = items["released"].to_numpy(np.float64, na_value=np.nan)[what]
    days = np.nan_to_num((at - released) / DAY)
    columns["log_days_since_release"] = np.log1p(np.maximum(days, 0.0))
    return columns


def _of_users(users: pd.DataFrame, impressions: pd.DataFrame) -> dict[str, object]:
    table = users.sort_values("user_id")
    who = places(table["user_id"].to_numpy(), impressions["user_id"].to_numpy(), "user")
    return {n: objects(table[n])[who] for n in users if n != "user_id"}


def _of_moments(impressions: pd.DataFrame, dataset: Dataset) -> dict[str, object]:
    moments = pd.to_datetime(impressions["timestamp"], unit="s")
    columns: dict[str, object] = {}
    if "position" in impressions:
        columns["position"] = impressions["position"].astype(int).to_numpy().astype(object)
    columns["month"] = moments.dt.month_name().to_numpy(dtype=object)
    columns["weekday"] = moments.dt.day_name().to_numpy(dtype=object)
    columns["part_of_day"] = (moments.dt.hour // 4).to_numpy().astype(object)
    if dataset.weather is not None and "city" in dataset.users:
        asked = impressions[["user_id"]].merge(
            dataset.users[["user_id", "city"]].astype({"city": object}), on="user_id", how="left"
        )
        asked["date"] = moments.dt.normalize().astype("datetime64[s]").to_numpy()
        weather = dataset.weather.astype({"city": object})
        found = asked.merge(weather, on=["city", "date"], how="left")
        columns["weather"] = objects(found["condition"])
    return columns


def _counts(impressions: pd.DataFrame, dataset: Dataset) -> dict[str, object]:
    users, items, at = (impressions[c].to_numpy() for c in ("user_id", "item_id", "timestamp"))
    rows = dataset.interactions
    met = EventLog(rows["item_id"].to_numpy(), rows["timestamp"].to_numpy())
    active = EventLog(rows["user_id"].to_numpy(), rows["timestamp"].to_numpy())
    columns: dict[str, object] = {
        "log_item_events": np.log1p(met.count(items, at)),
        "log_item_events_month": np.log1p(met.count(items, at, within=30 * DAY)),
        "log_user_events": np.log1p(active.count(users, at)),
        "log_hours_idle": np.log1p(np.minimum(active.since(users, at), 400 * DAY) / 3600),
    }
    if dataset.impressions is not None:
        shown = dataset.impressions
        for name, asked in (("item", items), ("user", users)):
            past = EventLog(
                shown[f"{name}_id"].to_numpy(),
                shown["timestamp"].to_numpy(),
                shown["clicked"].to_numpy(),
            )
            columns[f"{name}_click_rate"] = _rate(past, asked, at)
    if (rows["event"] == "rate").any():
        rated = rows[rows["event"] == "rate"]
        for name, asked in (("item", items), ("user", users)):
            past = EventLog(
                rated[f"{name}_id"].to_numpy(),
                rated["timestamp"].to_numpy(),
                rated["value"].to_numpy(),
            )
            columns[f"{name}_rating"] = _rate(past, asked, at)
    return columns


def _rate(past: EventLog, keys: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Mean weight of each key so far, drawn towards the mean of all keys so far."""
    everything = EventLog(np.zeros(len(past)), past.timestamps, past.weights)
    all_of_it = np.zeros(len(at))
    known = np.maximum(everything.count(all_of_it, at), 1)
    prior = everything.total(all_of_it, at) / known
    return (past.total(keys, at) + TRUST * prior) / (past.count(keys, at) + TRUST)
