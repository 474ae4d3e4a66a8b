"""What ``experiments.trust`` adds to the package: rank agreement, and a bonus for a share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments.trust import raise_share, rank_agreement
from m6rec_lite import trust
from m6rec_lite.data import Histories
from m6rec_lite.recommenders import top_k


def lists(*lengths: int) -> Histories:
    ids = np.arange(100)
    return Histories.from_lists([ids[:n].tolist() for n in lengths], ids)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 8), st.integers(0, 99))
def test_agreement_is_spearmans(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.integers(4, size=(2, n + 3))
    histories = lists(3, n)
    expected = []
    for part in (slice(3), slice(3, None)):
        constant = np.ptp(first[part]) == 0 or np.ptp(second[part]) == 0
        expected.append(np.nan if constant else stats.spearmanr(first[part], second[part])[0])
    np.testing.assert_allclose(rank_agreement(histories, first, second), expected, atol=1e-9)


def test_a_bonus_reaches_a_share_and_no_more() -> None:
    scores = np.random.default_rng(0).normal(size=(200, 20))
    member = np.arange(20) % 4 == 0
    chosen, bonus = raise_share(scores, member, 0.5, 5)
    share = trust.exposure(chosen, member.astype(int))[1]
    assert 0.5 <= share < 0.52
    assert bonus > 0
    kept = trust.exposure(top_k(scores, 5), member.astype(int))[1]
    assert raise_share(scores, member, kept, 5)[1] == pytest.approx(0, abs=0.02)
    with pytest.raises(ValueError, match="no bonus"):
        raise_share(scores, np.zeros(20, dtype=bool), 0.5, 5)
