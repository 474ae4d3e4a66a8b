"""Splits for items without training rows, and for a domain that a user has never entered.

As in ``splits``, rows are sorted by user, then time, and the repeats of a user with an item
collapse; each user is asked once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from m6rec_lite.data.holdout import Holdout, Split, histories_between
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.data.prepare import HINT, prepare, rows_of
from m6rec_lite.data.ragged import offsets_of
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
        histories = histories_between(train, who, offsets[who], offsets[who + 1], at)
        ends = np.arange(len(who) + 1, dtype=np.int64)
        holdouts.append(Holdout(histories, rows.items[what], ends))
    return Split(name, dataset, train, holdouts[0], holdouts[1], candidates)
