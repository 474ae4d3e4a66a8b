"""The experiment ``style_share``: shares of lists, and EASE with traits."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.style_share import TRAITS, TraitsEASE, shares
from m6rec_lite.data import Dataset, Split
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.evaluation import FixedScores
from m6rec_lite.evaluation.questions import Questions
from m6rec_lite.recommenders import EASE


def own_and_item_styles(dataset: Dataset, split: Split) -> tuple[np.ndarray, np.ndarray]:
    assert dataset.oracle is not None
    world = dataset.oracle.world
    return world.shoppers.style, world.items.style[split.item_ids - FIRST_ITEM]


@pytest.mark.parametrize(("sign", "wanted"), [(1.0, 1.0), (-1.0, 0.0)])
def test_lists_of_the_own_style_have_the_share_one(
    bazaar: Dataset, bazaar_split: Split, sign: float, wanted: float
) -> None:
    shoppers, items = own_and_item_styles(bazaar, bazaar_split)
    users = Questions(bazaar_split).holdout.histories.user_ids
    matrix = sign * (shoppers[users - 1][:, None] == items) + np.linspace(0, 0.5, len(items))
    model = FixedScores(bazaar_split.item_ids, users, matrix)
    got = shares(model, bazaar_split, {"style": (shoppers, items)})["style"]
    assert got.shape == users.shape
    assert got == pytest.approx(np.full(len(users), wanted))


def test_the_share_of_one_list_for_all_is_that_of_its_styles(
    bazaar: Dataset, bazaar_split: Split
) -> None:
    shoppers, items = own_and_item_styles(bazaar, bazaar_split)
    users = Questions(bazaar_split).holdout.histories.user_ids
    matrix = np.tile(-np.arange(len(items), dtype=float), (len(users), 1))
    model = FixedScores(bazaar_split.item_ids, users, matrix)
    got = shares(model, bazaar_split, {"style": (shoppers, items)})["style"].mean()
    chance = (np.bincount(items[:10], minlength=items.max() + 1) / 10)[shoppers[users - 1]].mean()
    assert got == pytest.approx(chance, abs=0.03)  # items of the history are left out


def test_traits_move_the_lists_of_ease_towards_the_own_style(
    bazaar: Dataset, bazaar_split: Split
) -> None:
    assert bazaar.oracle is not None
    shoppers, items = own_and_item_styles(bazaar, bazaar_split)
    ease = EASE(decay=0.8).fit(bazaar_split.train, progress=False)
    place = bazaar_split.item_ids - FIRST_ITEM
    traits = {name: getattr(bazaar.oracle.world.items, name)[place] for name in TRAITS}
    model = TraitsEASE(ease, traits, bazaar_split)
    assert set(model.weights) == {"EASE", *TRAITS}
    assert min(model.weights.values()) > 0
    share = {"style": (shoppers, items)}
    before, after = (shares(each, bazaar_split, share)["style"] for each in (ease, model))
    assert after.mean() > before.mean() + 0.02
