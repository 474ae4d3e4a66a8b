"""Changes that a recommender meets in use: typos, synonyms, shuffled events, injected clicks.

Source of the attacks and of their detection: Mobasher et al., *Toward trustworthy recommender
systems*, 2007; Mehta and Nejdl, *Unsupervised strategies for shilling detection*, 2009.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from m6rec_lite.data import EVENTS
from m6rec_lite.data.ids import Id, index_of_ids
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.ragged import positions_in_rows
from m6rec_lite.evaluation import Ranker
from m6rec_lite.evaluation.memory import require_memory
from m6rec_lite.recommenders.params import check_in_range, check_whole

TEXT_COLUMNS = ("title", "description", "tags")


def add_typos(text: str, rate: float, rng: np.random.Generator) -> str:
    """Exchange, with probability ``rate``, each letter with the letter after it."""
    check_in_range("rate", rate, 0, 1)
    letters = list(text)
    for i in np.flatnonzero(rng.random(max(len(text) - 1, 0)) < rate):
        if letters[i].isalpha() and letters[i + 1].isalpha():
            letters[i], letters[i + 1] = letters[i + 1], letters[i]
    return "".join(letters)


def replace_words(
    text: str, synonyms: Mapping[str, str], rate: float, rng: np.random.Generator
) -> str:
    """Replace, with probability ``rate``, each word or phrase that has an entry in ``synonyms``.

    Case is ignored. Of several keys that fit, the longest is taken.
    """
    check_in_range("rate", rate, 0, 1)
    lower = text.lower()
    table = {key.lower(): value for key, value in synonyms.items() if key.lower() in lower}
    keys = "|".join(re.escape(key) for key in sorted(table, key=len, reverse=True))

    def replaced(match: re.Match[str]) -> str:
        return table[match[0].lower()] if rng.random() < rate else match[0]

    return re.sub(rf"\b(?:{keys})\b", replaced, text, flags=re.IGNORECASE) if keys else text


def change_texts(items: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    """Return a copy of a table of items with every title, description and tag changed."""

    def changed(value: Any) -> Any:
        if isinstance(value, (list, tuple, np.ndarray)):
            return [change(part) for part in value]
        return change(value) if isinstance(value, str) else value

    columns = [name for name in TEXT_COLUMNS if name in items]
    return items.assign(**{name: [changed(value) for value in items[name]] for name in columns})


def shuffle_events(histories: Histories, window: float, *, seed: int = 0) -> Histories:
    """Return histories in which events have changed their order with others nearby.

    Args:
        histories: ragged rows.
        window: each event moves by fewer positions than this; ``inf`` gives a random order.
        seed: seed of the order.

    Raises:
        ValueError: if ``window`` is below 1.
    """
    check_in_range("window", window, 1)
    noise = np.random.default_rng(seed).random(len(histories.items))
    keys = noise if np.isinf(window) else window * noise - histories.steps_back
    order = np.lexsort((keys, histories.rows))
    return replace(histories, items=histories.items[order], events=histories.events[order])


def replace_events(histories: Histories, share: float, *, seed: int = 0) -> Histories:
    """Return histories in which a share of the events are of random items of the catalogue."""
    check_in_range("share", share, 0, 1)
    rng = np.random.default_rng(seed)
    chosen = rng.random(len(histories.items)) < share
    random_items = rng.integers(histories.n_items, size=len(chosen)).astype(np.int32)
    return replace(histories, items=np.where(chosen, random_items, histories.items))


@dataclass(frozen=True)
class Perturbed:
    """A fitted model that sees changed histories; the protocol's questions stay as they are.

    Attributes:
        model: fitted.
        change: function of histories that returns the changed ones.
    """

    model: Ranker
    change: Callable[[Histories], Histories]

    @property
    def item_ids(self) -> np.ndarray | None:
        """The catalogue of the model."""
        return self.model.item_ids

    def score(self, histories: Histories) -> np.ndarray:
        """Return the scores of the model for the changed histories."""
        return self.model.score(self.change(histories))


def inject_profiles(
    train: Interactions,
    target: Id,
    n_profiles: int,
    *,
    kind: Literal["random", "popular", "copied"] = "popular",
    fillers: int = 20,
    seed: int = 0,
) -> tuple[Interactions, np.ndarray]:
    """Add invented users who all end with one item, so that it is recommended more.

    Args:
        train: the log.
        target: id of the item.
        n_profiles: number of invented users.
        kind: of their other items: random ones, random among the most popular tenth, or the latest
            items of a random real user.
        fillers: number of other items of each profile.
        seed: seed of the profiles.

    Returns:
        The log with the profiles, and a ``(n_users,)`` bool array: which users are invented.

    Raises:
        DataError: if the item is not in the catalogue.
        ValueError: if a number is below 1 or the kind is unknown.
    """
    for name, number in (("n_profiles", n_profiles), ("fillers", fillers)):
        check_whole(name, number)
    if kind not in ("random", "popular", "copied"):
        raise ValueError(f"kind must be 'random', 'popular' or 'copied', got {kind!r}")
    aim = int(index_of_ids([target], train.item_ids, "item_id")[0])
    rng = np.random.default_rng(seed)
    by_count = np.argsort(-np.bincount(train.items, minlength=train.n_items), kind="stable")
    pool = by_count[: max(fillers, train.n_items // 10)] if kind == "popular" else by_count
    profiles = []
    for _ in range(n_profiles):
        if kind == "copied":
            chosen = train.items[train.users == rng.choice(train.users)][-fillers:]
        else:
            chosen = rng.choice(pool, min(fillers, len(pool)), replace=False)
        profiles.append(np.append(chosen[chosen != aim], aim))
    lengths = np.array([len(profile) for profile in profiles])
    if train.user_ids.dtype.kind == "U":
        new = np.array([f"invented {i}" for i in range(n_profiles)])
    else:
        new = train.user_ids.max() + 1 + np.arange(n_profiles)
    items, start = np.concatenate([train.items, *profiles]), train.timestamps.max() - lengths.max()
    frame = pd.DataFrame(
        {
            "user_id": np.append(train.user_ids[train.users], np.repeat(new, lengths)),
            "item_id": train.item_ids[items],
            "timestamp": np.append(train.timestamps, start + positions_in_rows(lengths)),
            "event": np.array(EVENTS)[np.append(train.events, np.zeros(lengths.sum(), np.int8))],
        }
    )
    ids = np.append(train.user_ids, new)
    log = Interactions.from_frame(frame, user_ids=ids, item_ids=train.item_ids)
    return log, np.isin(log.user_ids, new)


def incoherence(train: Interactions) -> np.ndarray:
    """Return how little the items of each user have to do with each other, ``(n_users,)``.

    It is 1 less the mean cosine of all pairs of the user's items, where an item is the vector of
    its users; 0 for users with one item. Invented profiles of random items have high values.
    """
    has = train.matrix()  # (users, items)
    require_memory(
        24.0 * train.n_items**2,
        f"the incoherence of profiles of {train.n_items:,} items",
        "Pass the training rows of fewer items, such as the most popular ones",
    )
    lengths = np.sqrt(has.sum(axis=0)).clip(min=1.0)
    cosines = (has.T @ has).toarray() / np.outer(lengths, lengths)
    np.fill_diagonal(cosines, 0.0)
    n = has.sum(axis=1)
    pairs = n * (n - 1)
    total = np.asarray(has.multiply(has @ cosines).sum(axis=1)).ravel()
    return np.where(pairs > 0, 1 - total / np.maximum(pairs, 1), 0.0)


def closest_overlap(train: Interactions) -> np.ndarray:
    """Return the largest Jaccard overlap of each user's items with another user's, ``(n_users,)``.

    Copied profiles have high values.
    """
    has, largest = train.matrix().astype(np.float32), np.zeros(train.n_users)
    sizes = has.sum(axis=1)
    for start in range(0, train.n_users, 512):
        rows = slice(start, min(start + 512, train.n_users))
        common = (has[rows] @ has.T).toarray()
        overlap = common / np.maximum(sizes[rows, None] + sizes[None] - common, 1.0)
        overlap[np.arange(len(overlap)), np.arange(rows.start, rows.stop)] = 0.0
        largest[rows] = overlap.max(axis=1)
    return largest
