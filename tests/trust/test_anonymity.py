"""Hashed ids and anonymity sets."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.data import Interactions
from m6rec_lite.trust import anonymity_sets, hash_id, reverse_hashes


def log(rows: list[tuple[int, int]]) -> Interactions:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id"])
    return Interactions.from_frame(frame.assign(timestamp=np.arange(len(frame))))


def test_a_table_reverses_hashes_but_not_those_of_another_salt() -> None:
    digests = [hash_id(17), hash_id(42), hash_id(17, salt="pepper")]
    found = reverse_hashes(digests, range(100))
    assert found == {digests[0]: 17, digests[1]: 42}
    assert reverse_hashes(digests, range(100), salt="pepper") == {digests[2]: 17}


def test_a_hash_is_the_published_sha_256() -> None:
    assert hash_id("abc").startswith("ba7816bf8f01cfea")


def test_users_who_fit_are_counted_with_the_user() -> None:
    train = log([(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 3), (4, 9)])
    assert anonymity_sets(train, 2).tolist() == [2, 2, 1, 0]
    assert sorted(set(anonymity_sets(train, 1)[[0, 1]].tolist())) in ([2], [3], [2, 3])


def test_coarser_items_never_make_the_sets_smaller() -> None:
    train = log([(1, 1), (1, 2), (2, 3), (2, 4), (3, 5), (3, 6)])
    groups = np.array([0, 1, 0, 1, 2, 3])
    assert anonymity_sets(train, 2).tolist() == [1, 1, 1]
    assert anonymity_sets(train, 2, groups=groups).tolist() == [2, 2, 1]


def test_more_knowledge_fits_fewer() -> None:
    rng = np.random.default_rng(0)
    train = log(sorted({(u, int(i)) for u in range(60) for i in rng.integers(12, size=8)}))
    means = [anonymity_sets(train, n).mean() for n in (1, 2, 3)]
    assert means[0] > means[1] > means[2] >= 0


@pytest.mark.parametrize("n_known", [0, -1, 1.5])
def test_bad_input_is_refused(n_known: float) -> None:
    train = log([(1, 1), (1, 2)])
    with pytest.raises(ValueError, match="n_known"):
        anonymity_sets(train, n_known)
    with pytest.raises(ValueError, match="one entry for each of 2 items"):
        anonymity_sets(train, 1, groups=np.zeros(3, int))
    with pytest.raises(ValueError, match=r"1 negative numbers.*a group of their own"):
        anonymity_sets(train, 1, groups=np.array([0, -1]))
