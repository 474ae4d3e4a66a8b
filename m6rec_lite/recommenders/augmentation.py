"""Further training histories: edited copies of real ones, and histories sampled from a model.

Source of the edits: Xie et al., *Contrastive learning for sequential recommendation*, 2022, which
masks with a special token; here a masked event is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from scipy.special import softmax

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.ragged import offsets_of, ranges
from m6rec_lite.recommenders.base import Recommender
from m6rec_lite.recommenders.params import check_in_range, check_whole

Edit = Literal["copy", "crop", "mask", "reorder"]

#: The events of a history that are kept, and all of its items after the edit.
Edited = tuple[np.ndarray, np.ndarray]


def take_users(train: Interactions, users: np.ndarray) -> Interactions:
    """Return the rows of some users, who become users 0, 1, 2, ...; the catalogue stays.

    Args:
        train: rows.
        users: ``(n,)`` indices into ``train.user_ids``; an index may occur several times.
    """
    lengths = np.bincount(train.users, minlength=train.n_users)
    rows = ranges(offsets_of(lengths)[:-1][users], lengths[users])
    return replace(
        train,
        user_ids=np.arange(len(users)),
        users=np.repeat(np.arange(len(users), dtype=np.int32), lengths[users]),
        items=train.items[rows],
        timestamps=train.timestamps[rows],
        events=train.events[rows],
        values=train.values[rows],
    )


def augment(
    train: Interactions,
    edit: Edit,
    share: float = 0.5,
    *,
    copies: int = 1,
    seed: int = 0,
) -> Interactions:
    """Add edited copies of all histories, as further users.

    Args:
        train: the real rows; they stay.
        edit: ``copy`` (unchanged, the control), ``crop`` (keep consecutive events), ``mask`` (leave
            events out), or ``reorder`` (shuffle consecutive events among their times).
        share: share of the events of a history that is kept (crop), left out (mask) or shuffled
            (reorder), in [0, 1]; at least one event stays.
        copies: number of copies of each history.
        seed: seed of the edits.

    Returns:
        Rows with ``(1 + copies) * train.n_users`` users, numbered from 0, the real ones first.

    Raises:
        ValueError: if an argument is out of range.
    """
    if edit not in get_args(Edit):
        raise ValueError(f"edit must be one of {', '.join(get_args(Edit))}, got {edit!r}")
    check_in_range("share", share, 0, 1)
    rng = np.random.default_rng(seed)
    doubled = take_users(
        train, np.tile(np.arange(train.n_users), 1 + check_whole("copies", copies))
    )
    lengths = np.bincount(doubled.users, minlength=doubled.n_users)
    items, keep = doubled.items.copy(), np.ones(len(doubled), dtype=bool)
    starts = offsets_of(lengths)[:-1]
    for user in range(train.n_users, doubled.n_users) if edit != "copy" else ():
        start, length = int(starts[user]), int(lengths[user])
        row = slice(start, start + length)
        if length:
            keep[row], items[row] = EDITS[edit](items[row], share, rng)
    return replace(doubled, items=items).select(keep)


def _crop(items: np.ndarray, share: float, rng: np.random.Generator) -> Edited:
    size = max(1, round(share * len(items)))
    start = int(rng.integers(len(items) - size + 1))
    position = np.arange(len(items))
    return (position >= start) & (position < start + size), items


def _mask(items: np.ndarray, share: float, rng: np.random.Generator) -> Edited:
    keep = np.ones(len(items), dtype=bool)
    n = min(len(items) - 1, round(share * len(items)))
    keep[rng.choice(len(items), n, replace=False)] = False
    return keep, items


def _reorder(items: np.ndarray, share: float, rng: np.random.Generator) -> Edited:
    size = round(share * len(items))
    start = int(rng.integers(len(items) - size + 1))
    items = items.copy()
    items[start : start + size] = rng.permutation(items[start : start + size])
    return np.ones(len(items), dtype=bool), items


EDITS: dict[str, Callable[[np.ndarray, float, np.random.Generator], Edited]] = {
    "crop": _crop,
    "mask": _mask,
    "reorder": _reorder,
}


def add_histories(train: Interactions, lists: Sequence[np.ndarray]) -> Interactions:
    """Add histories that have no times, such as sampled ones, as further users.

    Args:
        train: the real rows.
        lists: indices of items of each history, oldest first.

    Returns:
        Rows with ``train.n_users + len(lists)`` users, numbered from 0, the real ones first. The
        new events are one second apart and end at the latest time of ``train``; they are clicks
        of value 1.

    Raises:
        ValueError: if an index is not in the catalogue.
    """
    real = take_users(train, np.arange(train.n_users))
    lengths = np.array([len(row) for row in lists], dtype=np.int64)
    items = np.concatenate([*lists, np.zeros(0, dtype=np.int64)]).astype(np.int32)
    if len(items) and not 0 <= items.min() <= items.max() < train.n_items:
        raise ValueError(f"the lists must hold indices from 0 to {train.n_items - 1}")
    n = len(lists)
    users = np.repeat(np.arange(train.n_users, train.n_users + n, dtype=np.int32), lengths)
    back = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(len(items))
    latest = int(real.timestamps.max()) if len(real) else 0
    return replace(
        real,
        user_ids=np.arange(train.n_users + n),
        users=np.concatenate([real.users, users]),
        items=np.concatenate([real.items, items]),
        timestamps=np.concatenate([real.timestamps, latest - back]),
        events=np.concatenate([real.events, np.zeros(len(items), dtype=real.events.dtype)]),
        values=np.concatenate([real.values, np.ones(len(items), dtype=real.values.dtype)]),
    )


def sample_histories(
    model: Recommender,
    starts: Histories,
    length: int,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[np.ndarray]:
    """Continue histories by items drawn from a model, as a language model continues a text.

    The next item is drawn from ``softmax(scores / temperature)`` over the items that the history
    does not hold yet. The scores should be log probabilities, as those of ``Markov`` and of
    networks with cross-entropy are.

    Args:
        model: a fitted model.
        starts: ``n`` histories, such as the first events of real users.
        length: number of items of each result, the start included.
        temperature: above 0; a low one draws the likely items only.
        seed: seed of the draws.

    Returns:
        ``n`` arrays of item indices.

    Raises:
        ValueError: if the length exceeds the catalogue, or the temperature is not above 0.
    """
    check_in_range("temperature", temperature, 0, open_low=True)
    if check_whole("length", length) > starts.n_items:
        raise ValueError(f"length {length} exceeds the {starts.n_items} items of the catalogue")
    rng = np.random.default_rng(seed)
    lists = [starts.items[a:b] for a, b in zip(starts.offsets, starts.offsets[1:], strict=False)]
    lists = [row[:length].astype(np.int64) for row in lists]
    while True:
        short = [i for i, row in enumerate(lists) if len(row) < length]
        if not short:
            return lists
        rows = [starts.item_ids[lists[i]] for i in short]
        histories = Histories.from_lists(rows, starts.item_ids)
        scores = model.score(histories).astype(np.float64) / temperature
        scores[histories.rows, histories.items] = -np.inf
        cumulative = softmax(scores, axis=1).cumsum(axis=1)
        draws = rng.random((len(short), 1)) * cumulative[:, -1:]
        for i, item in zip(short, (cumulative <= draws).sum(axis=1), strict=True):
            lists[i] = np.append(lists[i], item)
