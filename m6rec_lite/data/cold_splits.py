"""Splits for items without training rows, and for users without history in a domain.

As in ``splits``, rows are sorted by user, then time, and repeated pairs of user and item are
merged. Each user has at most one question.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.prepare import HINT, prepare, rows_of
from m6rec_lite.data.seeds import check_seed
from m6rec_lite.data.tables import DataError, Dataset


def cold_item(
    dataset: Dataset,
    *,
    share: float = 0.2,
    seed: int,
    min_history: int = 1,
    min_item_users: int = 5,
    min_user_items: int = 3,
) -> Split:
    """Split by item: hold out all rows of some items, which then can only be ranked by content.

    A random ``share`` of the items is cold. Half of these are validation targets, the other half
    test targets, and all are candidates. A user's target is the last cold item of the user; the
    history is the warm items before it. Later rows of the user are dropped.

    Args:
        dataset: a data set.
        share: share of the items that are cold, between 0 and 1.
        seed: seed of the random draw of items.
        min_history: least number of warm items in a history; other users have no question.
        min_item_users: see ``leave_one_out``.
        min_user_items: see ``leave_one_out``.

    Returns:
        The split; its candidates are the cold items.

    Raises:
        DataError: if validation or test has no question.
        ValueError: if ``share`` or a threshold is out of range.
    """
    if not 0 < share < 1:
        raise ValueError(f"share must lie between 0 and 1, not {share}")
    rows = prepare(dataset, min_item_users=min_item_users, min_user_items=min_user_items)
    rng = np.random.default_rng(check_seed(seed))
    drawn = rng.permutation(rows.n_items)[: round(share * rows.n_items)]
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
    """Split by domain: hold out all rows of some users in one domain.

    A held-out user's target is the user's last item of the domain; the history is the items of
    other domains before it, and later rows are dropped. The candidates are the items of the domain.
    Models must transfer preferences from the other domains.

    Training users keep their rows in the domain, so its items have popularity and co-occurrence.
    With ``linked=True`` many of them also have rows in other domains, through which collaborative
    filtering can transfer preferences. With ``linked=False`` they do not, as between two platforms
    without common accounts, and only the content of items connects the domains.

    Args:
        dataset: a data set whose items have a ``domain``.
        domain: the domain to hold out.
        linked: whether training users with rows in the domain keep their rows in other domains.
            The questions are the same in both cases.
        test: share of all users to test on.
        validation: share of all users to validate on.
        seed: seed of the random draw of users.
        min_history: least number of items of other domains in a history; other users have no
            question.
        min_item_users: see ``leave_one_out``.
        min_user_items: see ``leave_one_out``.

    Returns:
        The split; its candidates are the items of the domain.

    Raises:
        DataError: if the data set has no such domain, or validation or test has no question.
        ValueError: if a share or a threshold is out of range.
    """
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise ValueError(
            f"test and validation are shares of the users, above 0 and together below 1; got "
            f"test={test}, validation={validation}"
        )
    rows_of(dataset)  # raises DataError if it is not a data set
    domains = dataset.items.set_index("item_id")["domain"]
    if domain not in set(domains.dropna()):
        raise DataError(
            f"{dataset.name}: no item has domain {domain!r}; the domains are "
            f"{sorted(set(domains.dropna()))}"
        )
    rows = prepare(dataset, min_item_users=min_item_users, min_user_items=min_user_items)
    candidates = (domains.reindex(rows.item_ids) == domain).to_numpy(dtype=bool)
    draw = np.random.default_rng(check_seed(seed)).random(rows.n_users)
    group = np.where(draw < test, 2, np.where(draw < test + validation, 1, 0)).astype(np.int8)
    inside = candidates[rows.items]
    kind = np.where(inside, group[rows.users], 0)
    split = _last_hidden(
        rows, kind, hidden=kind > 0, min_history=min_history,
        name=f"hidden-domain-{domain}", dataset=dataset.name, candidates=candidates,
    )  # fmt: skip
    if linked:
        return split
    inside = candidates[split.train.items]
    with_rows = np.isin(split.train.users, split.train.users[inside])
    train = split.train.select(inside | ~with_rows)
    return replace(split, name=f"{split.name}-unlinked", train=train)


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
    """Return the split whose targets are the last hidden row of each user.

    Args:
        rows: sorted by user, then time.
        kind: ``(n,)`` 1 for validation rows, 2 for test rows, 0 for others.
        hidden: ``(n,)`` bool: rows that are excluded from training and histories.
        min_history: least length of a history.
        name: name of the split.
        dataset: name of the data set.
        candidates: ``(n_items,)`` bool: items that may be ranked.
    """
    hidden_rows = np.flatnonzero(hidden)[::-1]
    users, last = np.unique(rows.users[hidden_rows], return_index=True)
    target = hidden_rows[last]
    limit = np.full(rows.n_users, len(rows))
    limit[users] = target
    train = rows.select(~hidden & (np.arange(len(rows)) < limit[rows.users]))
    counts = np.bincount(train.users, minlength=rows.n_users)
    holdouts = []
    for code, part in ((1, "validation"), (2, "test")):
        chosen = (kind[target] == code) & (counts[users] >= min_history)
        if not chosen.any():
            raise DataError(
                f"{dataset}: the {name} split has no {part} question: no user with at least "
                f"{min_history} earlier items met a {part} target; take larger shares, or {HINT}"
            )
        user, row = users[chosen], target[chosen]
        histories = train.histories().first_events(user, counts[user], rows.timestamps[row])
        target_offsets = np.arange(len(user) + 1, dtype=np.int64)
        holdouts.append(Holdout(histories, rows.items[row], target_offsets))
    return Split(name, dataset, train, holdouts[0], holdouts[1], candidates)
