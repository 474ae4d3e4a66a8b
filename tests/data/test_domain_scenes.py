"""Scenes divide the questions of a split by the target's domain."""

from dataclasses import replace

import numpy as np
import pytest

from m6rec_lite.data import DataError, scenes
from m6rec_lite.data.holdout import Holdout
from m6rec_lite.evaluation import Questions
from tests.worlds import small, small_split


def test_every_question_is_in_the_scene_of_its_target():
    split, items = small_split(), small().items
    parts = scenes(split, items)
    assert list(parts) == sorted(items["domain"].unique())
    assert sum(len(part.test) for part in parts.values()) == len(split.test)
    domain = items.set_index("item_id")["domain"].loc[split.item_ids].to_numpy()
    for name, part in parts.items():
        assert set(domain[part.test.targets]) == {name}
        assert np.array_equal(part.candidates, domain == name)
        assert part.train is split.train
        assert len(Questions(part)) == len(part.test)  # every target may be ranked


def test_histories_keep_the_other_domains():
    split = small_split()
    part = scenes(split, small().items)["music"]
    rows = np.isin(split.test.histories.user_ids, part.test.histories.user_ids)
    assert np.array_equal(part.test.histories.items, split.test[rows].histories.items)


def test_the_order_of_the_items_table_does_not_matter_and_missing_values_have_no_scene():
    split, items = small_split(), small().items
    shuffled = items.sample(frac=1, random_state=0)
    parts = scenes(split, shuffled)
    assert {n: p.hash for n, p in parts.items()} == {
        n: p.hash for n, p in scenes(split, items).items()
    }
    some = items.assign(domain=items["domain"].astype(object).where(items["domain"] == "shop"))
    assert list(scenes(split, some)) == ["shop"]


def test_earlier_candidates_still_hold():
    split = small_split()
    allowed = np.zeros(len(split.item_ids), dtype=bool)
    allowed[::2] = True
    part = scenes(replace(split, candidates=allowed), small().items)["shop"]
    assert not part.candidates[1::2].any()


def test_bad_tables_and_several_targets_are_refused():
    split, items = small_split(), small().items
    with pytest.raises(DataError, match="no column 'genre' to divide by"):
        scenes(split, items, "genre")
    with pytest.raises(DataError, match="nothing to divide by"):
        scenes(split, items.assign(domain=None))
    test = split.test
    two = Holdout(test.histories[:1], test.targets[:2], np.array([0, 2]))
    with pytest.raises(ValueError, match="scenes need one each"):
        scenes(replace(split, test=two), items)
