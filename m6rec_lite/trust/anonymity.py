"""Whether a log without names is anonymous: hashed ids, and histories that identify a person.

Sources: Sweeney, *k-anonymity: a model for protecting privacy*, 2002; de Montjoye et al., *Unique
in the crowd: the privacy bounds of human mobility*, 2013.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from m6rec_lite.data.ids import Id
from m6rec_lite.data.interactions import Interactions
from m6rec_lite.recommenders.params import check_whole


def hash_id(user_id: Id, salt: str = "") -> str:
    """Return the SHA-256 of a salt followed by an id, as 64 hexadecimal digits.

    A hash is a pseudonym: it is the same wherever the id occurs. It is not anonymous, since whoever
    can list the possible ids can hash them all; see ``reverse_hashes``.
    """
    return hashlib.sha256(f"{salt}{user_id}".encode()).hexdigest()


def reverse_hashes(
    digests: Iterable[str], candidates: Iterable[Id], salt: str = ""
) -> dict[str, Id]:
    """Find the ids behind hashes with a table of the hashes of all candidates.

    Args:
        digests: hashes, as written by ``hash_id``.
        candidates: ids that may occur, such as all phone numbers.
        salt: the salt, if it is known. A salt that is kept secret prevents the table, until it
            leaks; a salt of each row prevents the joining of rows.

    Returns:
        The id of each hash that is in the table.
    """
    wanted = set(digests)
    table = ((hash_id(candidate, salt), candidate) for candidate in candidates)
    return {digest: candidate for digest, candidate in table if digest in wanted}


def anonymity_sets(
    train: Interactions, n_known: int, *, groups: np.ndarray | None = None, seed: int = 0
) -> np.ndarray:
    """Count, for each user, the users who fit what an attacker knows.

    The attacker knows ``n_known`` random items of a user, such as those that the user has reviewed
    in public, and looks for everybody who has them all. A user with the count 1 is identified. A
    table is k-anonymous for such an attacker if no count is below k.

    Args:
        train: the log.
        n_known: number of different items (or groups) that are known.
        groups: ``(n_items,)`` whole numbers from 0: a coarser description of each item, such as
            its category, which is all that the log says.
        seed: seed of the known items.

    Returns:
        ``(n_users,)`` int64: the size of the user's anonymity set, the user included; 0 for users
        with fewer than ``n_known`` different items.

    Raises:
        ValueError: if ``n_known`` is below 1, or ``groups`` has another length than the catalogue
            or a negative number.
    """
    n_known = check_whole("n_known", n_known)
    columns = np.arange(train.n_items) if groups is None else np.asarray(groups)
    if columns.shape != (train.n_items,):
        raise ValueError(
            f"groups must have one entry for each of {train.n_items} items, got the shape "
            f"{columns.shape}"
        )
    if columns.min() < 0:
        raise ValueError(
            f"groups has {int((columns < 0).sum())} negative numbers, such as pandas gives to "
            "missing values: give items without a group a group of their own"
        )
    has = np.zeros((int(columns.max()) + 1, train.n_users), dtype=bool)  # (columns, users)
    has[columns[train.items], train.users] = True
    rng = np.random.default_rng(seed)
    sizes = np.zeros(train.n_users, dtype=np.int64)
    for user in range(train.n_users):
        own = np.flatnonzero(has[:, user])
        if len(own) >= n_known:
            known = rng.choice(own, n_known, replace=False)
            sizes[user] = has[known].all(axis=0).sum()
    return sizes
