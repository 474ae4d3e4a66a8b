"""Splits of a data set into training data, validation questions and test questions.

Each function takes a ``Dataset`` and returns a ``Split``. ``leave_one_out`` is the protocol of this
course. ``global_time`` also separates training and test rows in time. ``random_split`` shows the
effect of leakage from the future. ``cold_splits`` has splits for items and domains without training
rows.

All splits first prepare the rows (``prepare``): they are sorted by user, then time, with ties in
file order, and repeated pairs of user and item are merged, so that a target is always an item *new
to the user*.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Literal

import numpy as np

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.prepare import HINT, collapse, prepare, reindex, rows_of
from m6rec_lite.data.ragged import offsets_of, ranges
from m6rec_lite.data.seeds import check_seed
from m6rec_lite.data.tables import DataError, Dataset

#: ``leave_one_out`` warns if the share of users with a tied last row is above this.
TIES_TOLERATED = 0.1


class TiedOrderWarning(UserWarning):
    """The last rows of many users share a timestamp, so only the file gives their order."""


def leave_one_out(
    dataset: Dataset,
    *,
    min_item_users: int = 5,
    min_user_items: int = 3,
    ties: Literal["warn", "file"] = "warn",
) -> Split:
    """Hold out each user's last item for test, and the one before it for validation.

    This is the protocol of the course. ``at`` of a question is its target's timestamp. Training
    rows of some users are later than the targets of others, unlike in ``global_time``.

    Args:
        dataset: a data set.
        min_item_users: items with fewer users are dropped (5 in most published results).
        min_user_items: users with fewer items are then dropped; at least 3, one item each for
            training, validation and test.
        ties: ``"warn"``, or ``"file"`` to use the file order of tied rows without a warning, as
            published results on MovieLens do.

    Warns:
        TiedOrderWarning: if the last row of more than a tenth of the users has the timestamp of
            the row before it, so that the target depends on the file order; ``Split.tied_last``
            is this share.

    Raises:
        DataError: if no user is left, or ``dataset`` is not a data set.
        ValueError: if an argument is out of range.
    """
    if min_user_items < 3:
        raise ValueError(
            f"min_user_items must be at least 3 (one item for training, one for validation and "
            f"one for test), not {min_user_items}"
        )
    if ties not in ("warn", "file"):
        raise ValueError(f"ties must be 'warn' or 'file', not {ties!r}")
    rows = prepare(dataset, min_item_users=min_item_users, min_user_items=min_user_items)
    last = np.cumsum(np.bincount(rows.users, minlength=rows.n_users)) - 1
    split = _one_target_each(rows, "leave-one-out", dataset.name, validation=last - 1, test=last)
    tied = float((rows.timestamps[last] == rows.timestamps[last - 1]).mean())
    if tied > TIES_TOLERATED and ties == "warn":
        warnings.warn(
            f"{dataset.name}: the last row of {tied:.0%} of the users has the timestamp of the row "
            "before it, so the order of the file decides which item is the target. If that order "
            "means nothing, measure with random_split(dataset, seed=0) or bring finer timestamps; "
            'to accept that order pass ties="file"',
            TiedOrderWarning,
            stacklevel=2,
        )
    return replace(split, tied_last=tied)


def random_split(
    dataset: Dataset, *, seed: int, min_item_users: int = 5, min_user_items: int = 3
) -> Split:
    """Draw each user's targets at random from the user's rows: **leaky, for teaching only**.

    Histories contain items that the user met *after* the target, so models interpolate rather than
    predict the future. ``at`` is the time of the latest event in the history or of the target,
    whichever is later.

    Args:
        dataset: a data set.
        seed: seed of the random draw.
        min_item_users: see ``leave_one_out``.
        min_user_items: see ``leave_one_out``.

    Raises:
        DataError: if no user is left.
        ValueError: if a threshold is out of range.
    """
    if min_user_items < 3:
        raise ValueError(f"min_user_items must be at least 3, not {min_user_items}")
    rows = prepare(dataset, min_item_users=min_item_users, min_user_items=min_user_items)
    rng = np.random.default_rng(check_seed(seed))
    shuffled = np.lexsort((rng.random(len(rows)), rows.users))  # shuffled within each user
    last = np.cumsum(np.bincount(rows.users, minlength=rows.n_users)) - 1
    return _one_target_each(
        rows, "random", dataset.name, validation=shuffled[last - 1], test=shuffled[last]
    )


def global_time(
    dataset: Dataset,
    *,
    validation: float = 0.1,
    test: float = 0.1,
    target: str = "last",
    min_history: int = 1,
    min_item_users: int = 5,
) -> Split:
    """Train on all rows before one moment, and test on the rows after another.

    Two moments divide the rows, sorted by time, into a training, a validation and a test period. A
    question's history is all earlier rows of its user: those of the validation period too, and of
    the test period before the target.

    No information from the future is used: item counts are those of the training period, and the
    catalogue is its items. Rows with other items are dropped from histories and targets, since
    models of ids cannot rank these items; for them see ``cold_item``.

    Args:
        dataset: a data set.
        validation: share of all rows between the two moments.
        test: share of all rows after the second moment.
        target: ``last``: each user's last item of the period; ``first``: the first one; ``all``:
            all of them, from the history before the first.
        min_history: least length of a history; other users have no question.
        min_item_users: items with fewer users before the first moment are dropped.

    Raises:
        DataError: if a period has no question.
        ValueError: if an argument is out of range.
    """
    if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
        raise ValueError(
            f"validation and test are shares of the rows, each between 0 and 1 and together below "
            f"1; got validation={validation}, test={test}"
        )
    if target not in ("last", "first", "all"):
        raise ValueError(f"target must be 'last', 'first' or 'all', not {target!r}")
    rows = rows_of(dataset)
    if len(rows) == 0:
        raise DataError(f"{dataset.name}: there are no rows to split")
    times = np.sort(rows.timestamps)
    cuts = [times[min(int(len(times) * share), len(times) - 1)]
            for share in (1 - validation - test, 1 - test)]  # fmt: skip
    period = np.searchsorted(cuts, rows.timestamps, side="right")
    rows = collapse(rows, period)
    period = np.searchsorted(cuts, rows.timestamps, side="right")
    counts = np.bincount(rows.items[period == 0], minlength=rows.n_items)
    known = (counts >= max(min_item_users, 1))[rows.items]
    rows, period = rows.select(known), period[known]
    if not (period == 0).any():
        raise DataError(
            f"{dataset.name}: no item has {min_item_users} users before the first cut "
            f"({_day(cuts[0])}); {HINT}"
        )
    rows = reindex(rows)
    holdouts = []
    for code, name in ((1, "validation"), (2, "test")):
        in_period = np.flatnonzero(period == code)
        holdout = _holdout(rows, in_period, target, min_history)
        if len(holdout) == 0:
            raise DataError(
                f"{dataset.name}: no question in the {name} period ({len(in_period)} rows after "
                f"{_day(cuts[code - 1])}, of users with at least {min_history} earlier items); "
                f"take a larger {name} share, or {HINT}"
            )
        holdouts.append(holdout)
    return Split("global-time", dataset.name, rows.select(period == 0), holdouts[0], holdouts[1])


def _one_target_each(
    rows: Interactions, name: str, dataset: str, *, validation: np.ndarray, test: np.ndarray
) -> Split:
    """Return a split from the ``(n_users,)`` rows of each user's validation and test target."""
    keep = np.ones(len(rows), dtype=bool)
    keep[test] = False
    before_test = rows.select(keep)
    keep[validation] = False
    train = rows.select(keep)
    holdouts = []
    for known, target in ((train, validation), (before_test, test)):
        histories = known.histories()
        at = np.maximum(rows.timestamps[target], histories.at - 1)  # at - 1: the latest event
        offsets = np.arange(rows.n_users + 1, dtype=np.int64)
        holdouts.append(Holdout(known.histories(at), rows.items[target], offsets))
    return Split(name, dataset, train, holdouts[0], holdouts[1])


def _holdout(rows: Interactions, in_period: np.ndarray, target: str, min_history: int) -> Holdout:
    """Return one question per user, with targets among the rows ``in_period`` (ascending)."""
    offsets = offsets_of(np.bincount(rows.users, minlength=rows.n_users))
    users, first, counts = np.unique(rows.users[in_period], return_index=True, return_counts=True)
    if target == "last":
        first = first + counts - 1
    n_targets = counts if target == "all" else np.ones_like(counts)
    start = in_period[first]  # the rows of a user in a period are consecutive
    long_enough = start - offsets[users] >= min_history
    users, start, n_targets = users[long_enough], start[long_enough], n_targets[long_enough]
    histories = rows.histories().first_events(users, start - offsets[users], rows.timestamps[start])
    return Holdout(
        histories,
        rows.items[ranges(start, n_targets)],
        offsets_of(n_targets),
    )


def _day(timestamp: int) -> str:
    return str(np.datetime64(int(timestamp), "s").astype("datetime64[D]"))
