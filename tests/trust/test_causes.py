"""The true causes of an item, and the agreement of attributions with them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from m6rec_lite import trust
from m6rec_lite.data import Dataset, Histories, bazaar, leave_one_out
from m6rec_lite.evaluation import hr


@cache
def world(**dials: float) -> Dataset:
    return bazaar.generate(users=120, items=80, seed=1, slates=0, progress=False, **dials)


def effects(dataset: Dataset, n: int = 12) -> tuple[Histories, np.ndarray]:
    """True effects on the items that came next."""
    test = leave_one_out(dataset).test[:n]
    return test.histories, trust.world_deletion(dataset.oracle, test.histories, test.targets)


def test_without_effects_of_the_past_nothing_causes_the_next_item() -> None:
    _, values = effects(world(persistence=0.0, revisits=1.0, repeats=0.0))
    np.testing.assert_allclose(values, 0, atol=1e-9)


def test_at_most_the_last_event_of_each_intent_is_a_cause() -> None:
    dataset = world(revisits=1.0, repeats=0.0)
    histories, values = effects(dataset)
    caused = np.bincount(histories.rows, np.abs(values) > 1e-9)
    assert caused.max() <= 2
    assert caused.sum() > 0
    one_intent, values = effects(world(switch=0.0, revisits=1.0, repeats=0.0))
    assert np.bincount(one_intent.rows, np.abs(values) > 1e-9).max() == 1


def test_deletion_compares_with_the_oracle_of_the_whole_history() -> None:
    dataset = world()
    test = leave_one_out(dataset).test[:3]
    histories, oracle = test.histories, dataset.oracle
    whole = oracle.scores(histories.user_ids, histories.item_ids, histories.at)
    values = trust.world_deletion(oracle, histories, test.targets)
    log_p = np.log(whole[np.arange(3), test.targets])
    assert np.isfinite(values).all()
    assert (log_p[histories.rows] - values <= 1e-9).all()  # what is left is a log probability


def lists(*lengths: int) -> Histories:
    ids = np.arange(100)
    return Histories.from_lists([ids[:n].tolist() for n in lengths], ids)


def test_causes_and_ranks_by_hand() -> None:
    histories = lists(3, 2, 0)
    causes = trust.main_cause(histories, np.array([0.1, 2.0, 0.7, 0.1, 0.2]))
    assert causes.tolist() == [1, -1, -1]
    ranks = trust.event_ranks(histories, np.array([0.0, 3.0, 1.0, 9.0, 9.0]), causes)
    np.testing.assert_array_equal(hr(ranks, 1), [1, np.nan, np.nan])
    tied = trust.event_ranks(histories, np.zeros(5), causes)
    np.testing.assert_allclose(hr(tied, 1)[0], 1 / 3)
    with pytest.raises(ValueError, match="NaN or infinite"):
        trust.event_ranks(histories, np.full(5, np.nan), causes)
    assert trust.main_cause(lists(), np.zeros(0)).tolist() == []
