"""Ways to cut a data set into what models learn from and what they are asked.

Every function takes a ``Dataset`` and returns a ``Split``. ``leave_one_out`` is the protocol of
this course; the others show what it hides: the calendar (``global_time``), items nobody has met
(``cold_item``), a domain a user has never entered (``hidden_domain``), and, as a warning, what a
careless cut leaks (``random_split``).

All of them first prepare the rows in the same way (``prepare``). Rows are sorted by user, then
time, ties in file order, and the repeats of a user with an item collapse, so that a target is
always an item *new to the user*.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Literal

import numpy as np

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.prepare import HINT, collapse, prepare, reindex, rows_of
from m6rec_lite.data.ragged import offsets_of, ranges
from m6rec_lite.data.tables import DataError, Dataset

#: Share of users with a tied last row above which ``leave_one_out`` warns.
TIES_TOLERATED = 0.1


class TiedOrderWarning(UserWarning):
    """The order of many users' last rows is that of the file, not of time."""


def leave_one_out(
    dataset: Dataset,
    *,
    min_item_users: int = 5,
    min_user_items: int = 3,
    ties: Literal["warn", "file"] = "warn",
) -> Split:
    """Each user's last item is the test target, the one before it the validation target.

    The protocol of this course. ``at`` of a question is its target's own timestamp. A model that
    fits on ``train`` has seen other users' rows that are later than some targets; ``global_time``
    has not.

    Args:
        dataset: a data set.
        min_item_users: items with fewer users are dropped (5 in most published tables).
        min_user_items: users with fewer items are then dropped; at least 3, one item each for
            training, validation and test.
        ties: ``"warn"``, or ``"file"`` to take the order of the file for tied rows without a
            warning, as published figures on MovieLens do.

    Warns:
        TiedOrderWarning: if the last row of more than a tenth of the users has the timestamp of
            the row before it. Rows of one timestamp stand in file order, which then decides what
            the target is; ``Split.tied_last`` holds the share.

    Raises:
        DataError: if no user is left, or ``dataset`` is no data set.
    """
    if min_user_items < 3:
        raise ValueError(
            f"min_user_items must be at least 3 (one item to learn from, one to validate and one "
            f"to test), not {min_user_items}"
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
    """Each user's targets are drawn at random from the user's rows: **leaky, for teaching only**.

    The history then holds items that the user met *after* the target, and a model is asked to
    fill a gap in the past rather than to foresee. ``at`` is the moment of the latest thing known.

    Raises:
        DataError: if no user is left.
    """
    if min_user_items < 3:
        raise ValueError(f"min_user_items must be at least 3, not {min_user_items}")
    rows = prepare(dataset, min_item_users=min_item_users, min_user_items=min_user_items)
    rng = np.random.default_rng(seed)
    shuffled = np.lexsort((rng.random(len(rows)), rows.users))  # users keep their blocks
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
    """Train on all rows before one moment; ask about what happened after it.

    Two moments cut the calendar so that the last ``test`` of all rows, and the ``validation``
    before them, lie behind. Models fit on what is older than both. A question's history is all
    that its user did before the target (at test the validation rows too, and rows of the test
    period itself: what is *known* at that moment, though models were fitted earlier).

    Nothing of the future is used: item counts are taken before the first moment, and the
    catalogue is the items known by then. Rows with later items are left out of histories and
    targets, since no model fitted on ids can rank them (``cold_item`` asks about those).

    Args:
        dataset: a data set.
        validation: share of all rows between the two moments.
        test: share of all rows after the second moment.
        target: ``last`` asks for a user's last item of the period, ``first`` for the first one,
            ``all`` for all of them at once, from the history before the first.
        min_history: users with fewer earlier items are not asked.
        min_item_users: items with fewer users before the first moment are dropped.

    Raises:
        DataError: if a period has no question.
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
    clock = np.sort(rows.timestamps)
    cuts = [clock[min(int(len(clock) * share), len(clock) - 1)]
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
    for which, name in ((1, "validation"), (2, "test")):
        asked = np.flatnonzero(period == which)
        holdout = _ask(rows, asked, target, min_history)
        if len(holdout) == 0:
            raise DataError(
                f"{dataset.name}: no question in the {name} period ({len(asked)} rows after "
                f"{_day(cuts[which - 1])}, of users with at least {min_history} earlier items); "
                f"take a larger {name} share, or {HINT}"
            )
        holdouts.append(holdout)
    return Split("global-time", dataset.name, rows.select(period == 0), holdouts[0], holdouts[1])


def cold_item(
    dataset: Dataset,
    *,
    share: float = 0.2,
    seed: int,
    min_history: int = 1,
    min_item_users: int = 5,
    min_user_items: int = 3,
) -> Split:
    """Ask about items without a single training row, which only their text can recommend.

    A random ``share`` of the items turns cold; half of these are validation targets, half test
    targets, and all of them are the candidates. Each user is asked once, about the last cold item
    met, from the warm items before it; the user's later rows are left out altogether.

    Args:
        dataset: a data set.
        share: of the items, to turn cold.
        seed: of the draw.
        min_history: users with fewer warm items before the cold one are not asked.
        min_item_users: see ``leave_one_out``.
        min_user_items: see ``leave_one_out``.

    Raises:
        DataError: if validation or test has no question.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    rows = prepare(dataset, min_item_users=min_item_users, min_user_items=min_user_items)
    drawn = np.random.default_rng(seed).permutation(rows.n_items)[: round(share * rows.n_items)]
    cold = np.zeros(rows.n_items, dtype=np.int8)  # 0 warm, 1 validation, 2 test
    cold[drawn[: len(drawn) // 2]], cold[drawn[len(drawn) // 2 :]] = 1, 2
    kind = cold[rows.items]
    return _last_hidden(
        rows, kind, hidden=kind > 0, min_history=min_history,
        name="cold-item", dataset=dataset.name, candidates=cold > 0,
    )  # fmt: skip


def hidden_domain(
    dataset: Dataset,
    domain: str,
    *,
    linked: bool = True,
    test: float = 0.4,
    validation: float = 0.1,
    seed: int = 0,
    min_history: int = 1,
    min_item_users: int = 5,
    min_user_items: int = 3,
) -> Split:
    """Hide one domain's history of some users, and ask them for an item of that domain.

    What they did elsewhere is all that is known of them, so that taste must carry across domains.
    The candidates are the items of the domain. Other users keep their rows in it, so the domain's
    items have popularity and co-occurrence. Each user is asked once, about the last item of the
    domain, from the items of other domains before it; the user's later rows are left out.

    Those other users are often at home elsewhere too, and then co-occurrence carries taste across
    through them. Between two platforms that share no account it cannot: ``linked=False`` cuts the
    domain off like that, and only what is known of the *items* still spans the gap.

    Args:
        dataset: a data set whose items name their ``domain``.
        domain: the domain to hide.
        linked: whether training users who met the domain keep their rows elsewhere; if not, they
            keep those in the domain alone. The questions are the same either way.
        test: share of all users to test on.
        validation: share of all users to validate on.
        seed: of the draw of users.
        min_history: users with fewer items of other domains before the target are not asked.
        min_item_users: see ``leave_one_out``.
        min_user_items: see ``leave_one_out``.

    Raises:
        DataError: if the data set has no such domain, or validation or test has no question.
    """
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise ValueError(
            f"test and validation are shares of the users, above 0 and together below 1; got "
            f"test={test}, validation={validation}"
        )
    rows_of(dataset)  # raises unless it is a data set
    domains = dataset.items.set_index("item_id")["domain"]
    if domain not in set(domains.dropna()):
        raise DataError(
            f"{dataset.name}: no item has domain {domain!r}; the domains are "
            f"{sorted(set(domains.dropna()))}"
        )
    rows = prepare(dataset, min_item_users=min_item_users, min_user_items=min_user_items)
    candidates = (domains.reindex(rows.item_ids) == domain).to_numpy(dtype=bool)
    draw = np.random.default_rng(seed).random(rows.n_users)
    group = np.where(draw < test, 2, np.where(draw < test + validation, 1, 0)).astype(np.int8)
    inside = candidates[rows.items]
    kind = np.where(inside, group[rows.users], 0)
    split = _last_hidden(
        rows, kind, hidden=kind > 0, min_history=min_history,
        name=f"hidden-domain-{domain}", dataset=dataset.name, candidates=candidates,
    )  # fmt: skip
    if linked:
        return split
    there = candidates[split.train.items]
    met = np.isin(split.train.users, split.train.users[there])
    return replace(split, name=f"{split.name}-unlinked", train=split.train.select(there | ~met))


def _one_target_each(
    rows: Interactions, name: str, dataset: str, *, validation: np.ndarray, test: np.ndarray
) -> Split:
    """A split in which every user has one validation and one test row, given by their places."""
    keep = np.ones(len(rows), dtype=bool)
    keep[test] = False
    before_test = rows.select(keep)
    keep[validation] = False
    train = rows.select(keep)
    holdouts = []
    for known, target in ((train, validation), (before_test, test)):
        histories = known.histories()
        at = np.maximum(rows.timestamps[target], histories.at - 1)  # at - 1: latest thing known
        offsets = np.arange(rows.n_users + 1, dtype=np.int64)
        holdouts.append(Holdout(known.histories(at), rows.items[target], offsets))
    return Split(name, dataset, train, holdouts[0], holdouts[1])


def _ask(rows: Interactions, asked: np.ndarray, target: str, min_history: int) -> Holdout:
    """Questions about the rows at the places ``asked`` (ascending), each user asked once."""
    offsets = np.concatenate(([0], np.cumsum(np.bincount(rows.users, minlength=rows.n_users))))
    users, first, counts = np.unique(rows.users[asked], return_index=True, return_counts=True)
    if target == "last":
        first = first + counts - 1
    n_targets = counts if target == "all" else np.ones_like(counts)
    start = asked[first]  # a period is a contiguous run of a user's rows, so targets follow on
    enough = start - offsets[users] >= min_history
    users, start, n_targets = users[enough], start[enough], n_targets[enough]
    histories = _ragged(rows, users, offsets[users], start, rows.timestamps[start])
    return Holdout(
        histories,
        rows.items[ranges(start, n_targets)],
        offsets_of(n_targets),
    )


def _last_hidden(
    rows: Interactions,
    kind: np.ndarray,
    *,
    hidden: np.ndarray,
    min_history: int,
    name: str,
    dataset: str,
    candidates: np.ndarray,
) -> Split:
    """Ask each user about the last hidden row, from the visible rows before it."""
    places = np.flatnonzero(hidden)
    users, back = np.unique(rows.users[places][::-1], return_index=True)
    target = places[::-1][back]
    limit = np.full(rows.n_users, len(rows))
    limit[users] = target
    train = rows.select(~hidden & (np.arange(len(rows)) < limit[rows.users]))
    counts = np.bincount(train.users, minlength=rows.n_users)
    offsets = offsets_of(counts)
    holdouts = []
    for which, part in ((1, "validation"), (2, "test")):
        asked = (kind[target] == which) & (counts[users] >= min_history)
        if not asked.any():
            raise DataError(
                f"{dataset}: the {name} split has no {part} question: no user with at least "
                f"{min_history} earlier items met a {part} target; take larger shares, or {HINT}"
            )
        who, what = users[asked], target[asked]
        at = rows.timestamps[what]
        histories = _ragged(train, who, offsets[who], offsets[who + 1], at)
        ends = np.arange(len(who) + 1, dtype=np.int64)
        holdouts.append(Holdout(histories, rows.items[what], ends))
    return Split(name, dataset, train, holdouts[0], holdouts[1], candidates)


def _ragged(
    rows: Interactions, users: np.ndarray, start: np.ndarray, stop: np.ndarray, at: np.ndarray
) -> Histories:
    """Histories of the given users: their rows from ``start`` up to ``stop`` (places in rows)."""
    take = ranges(start, stop - start)
    return Histories(
        item_ids=rows.item_ids,
        user_ids=rows.user_ids[users],
        at=at.astype(np.int64),
        offsets=offsets_of(stop - start),
        items=rows.items[take],
        events=rows.events[take],
        timestamps=rows.timestamps[take],
        has_time=rows.has_time,
    )


def _day(timestamp: int) -> str:
    return str(np.datetime64(int(timestamp), "s").astype("datetime64[D]"))
