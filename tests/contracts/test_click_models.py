"""What every click model keeps to. A new one joins by a line in ``CASES``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from m6rec_lite.ctr.base import MeanRateCTR
from m6rec_lite.ctr.din import DIN
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.data import DataError
from m6rec_lite.evaluation.ctr import auc, log_loss
from m6rec_lite.recommenders import NotFittedError
from tests.contracts.clicks import CASES, before, fitted, parts, world

#: AUC of cases that cannot know the pattern, or do not learn all of it.
BOUNDS = {
    "MeanRateCTR": (0.5, 0.7),  # position is all that it can know here
    "M6RecCTR": (0.65, 1.0),  # after one short epoch; its own tests train it further
}
SLOW = ("M6RecCTR",)


@pytest.fixture(
    scope="module",
    params=[pytest.param(c, marks=[pytest.mark.slow] * (c in SLOW)) for c in CASES],
)
def case(request) -> str:
    return request.param


def test_a_planted_pattern_is_found(case):
    _, _, test = parts()
    chance = fitted(case).predict(test, world())
    assert chance.shape == (len(test),)
    assert ((chance >= 0) & (chance <= 1)).all()
    clicked = test["clicked"].to_numpy()
    constant = np.full(len(test), clicked.mean())
    low, high = BOUNDS.get(case, (0.8, 1.0))
    assert low < auc(clicked, chance) < high
    if case not in BOUNDS:
        assert log_loss(clicked, chance) < 0.8 * log_loss(clicked, constant)


def test_one_by_one_equals_together_in_any_order(case):
    model, rows = fitted(case), world().impressions.iloc[-40:]
    together = model.predict(rows, world())
    alone = [model.predict(rows.iloc[[i]], world())[0] for i in range(0, 40, 7)]
    np.testing.assert_allclose(alone, together[::7], rtol=1e-5)
    mixed = rows.sample(frac=1, random_state=0)
    order = rows.index.get_indexer(mixed.index)
    np.testing.assert_allclose(model.predict(mixed, world()), together[order], rtol=1e-5)


def test_a_saved_model_answers_alike(case, tmp_path):
    model, rows = fitted(case), world().impressions.iloc[::9]
    again = type(model).load(model.save(tmp_path / "model"))
    assert again.get_params() == model.get_params()
    np.testing.assert_array_equal(again.predict(rows, world()), model.predict(rows, world()))
    with pytest.raises(DataError, match=f"holds a {type(model).__name__}"):
        (DIN if not isinstance(model, DIN) else MeanRateCTR).load(tmp_path / "model")


def test_the_same_seed_gives_the_same_model(case):
    train, validation, test = parts()
    again = CASES[case]().fit(train, world(), validation=validation, progress=False)
    wanted = fitted(case).predict(test, world())
    np.testing.assert_array_equal(again.predict(test, world()), wanted)


def test_the_answer_is_not_read_from_the_question(case):
    model, rows = fitted(case), world().impressions.iloc[-30:]
    blind = rows.drop(columns=["clicked", "purchased", "propensity", "examination", "slate_id"])
    np.testing.assert_array_equal(model.predict(blind, world()), model.predict(rows, world()))
    now = int(rows["timestamp"].iloc[-1])
    queries = blind.iloc[[-1]]
    np.testing.assert_allclose(
        model.predict(queries, before(world(), now)), model.predict(queries, world()), rtol=1e-5
    )


def test_new_items_and_shoppers_and_no_rows_are_answered(case):
    dataset, model = world(), fitted(case)
    item = dataset.items.iloc[[0]].assign(item_id=9000, category="new kind", creator="somebody new")
    user = dataset.users.iloc[[0]].assign(user_id=9000, city="Harbin")
    wider = replace(
        dataset,
        items=pd.concat([dataset.items.astype({"category": object}), item], ignore_index=True),
        users=pd.concat([dataset.users.astype({"city": object}), user], ignore_index=True),
    )
    row = dataset.impressions.iloc[[0]].assign(item_id=9000, user_id=9000)
    assert 0 <= model.predict(row, wider)[0] <= 1
    np.testing.assert_allclose(  # and the others' numbers have not shifted
        model.predict(dataset.impressions.iloc[:5], wider),
        model.predict(dataset.impressions.iloc[:5], dataset),
        atol=0.02,
    )
    assert model.predict(dataset.impressions.iloc[:0], dataset).shape == (0,)


def test_purchases_are_learnt_from_clicked_rows_alone(case):
    train, validation, test = split_by_time(world().impressions, validation=0.1, test=0.3)
    model = CASES[case](label="purchased").fit(
        train, world(), validation=validation, progress=False
    )
    bought = test[test["clicked"]]
    chance = model.predict(bought, world())
    among_shown, among_clicked = test["purchased"].mean(), bought["purchased"].mean()
    assert 2 * among_shown < chance.mean() < 1.5 * among_clicked
    same = CASES[case](label="purchased").fit(
        train[train["clicked"]], world(), validation=validation[validation["clicked"]],
        progress=False,
    )  # fmt: skip
    np.testing.assert_array_equal(same.predict(bought, world()), chance)
    if case.startswith(("LogisticCTR", "FactorizationMachineCTR")):
        assert auc(bought["purchased"].to_numpy(), chance) > 0.75


def test_what_cannot_be_learnt_is_reported(case):
    dataset, make = world(), CASES[case]
    rows = dataset.impressions.iloc[:50]
    with pytest.raises(
        DataError, match="all 50 rows have clicked = True: there is nothing to tell"
    ):
        make().fit(rows.assign(clicked=True), dataset)
    with pytest.raises(DataError, match="no rows with a label 'clicked'"):
        make().fit(rows.iloc[:0], dataset)
    with pytest.raises(DataError, match="no rows with a label 'purchased'"):
        make(label="purchased").fit(rows.assign(clicked=False), dataset)
    with pytest.raises(DataError, match=r"no column 'liked' to learn from"):
        make(label="liked").fit(rows, dataset)
    with pytest.raises(DataError, match=r"must be true or false in every row; got \[2\]"):
        make().fit(rows.assign(clicked=2), dataset)
    with pytest.raises(NotFittedError, match=r"call fit\(impressions, dataset\)"):
        make().predict(rows, dataset)
