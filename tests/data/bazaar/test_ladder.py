"""The ladder of the bazaar at its shipped size: who stands above whom, on three seeds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from m6rec_lite.data import bazaar, hidden_domain, leave_one_out
from m6rec_lite.data.bazaar.tables import items_table
from m6rec_lite.data.holdout import Split
from m6rec_lite.data.tables import Dataset
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import Bigram, ContentBased, Hybrid, ItemKNN, Popularity

pytestmark = pytest.mark.slow  # six worlds of the shipped size

SEEDS = (0, 1, 2)
RUNGS = ("Popularity", "ContentBased", "Bigram", "Oracle")


@cache
def world(seed: int) -> Dataset:
    """Interactions and item text of the shipped size."""
    data = bazaar.generate(seed=seed, text=False, slates=0.0, progress=False)
    return replace(data, items=items_table(data.oracle.world, text=True))


def ndcg(model, split: Split) -> float:
    return evaluate(model, split, k=(10,), bootstrap=0, progress=False).metrics["ndcg@10"]


def fitted(model, split: Split, data: Dataset) -> float:
    return ndcg(model.fit(split.train, items=data.items, progress=False), split)


@cache
def ladder() -> np.ndarray:
    """``(seeds, rungs)`` NDCG@10 under leave-one-out."""
    rows = []
    for seed in SEEDS:
        data = world(seed)
        split = leave_one_out(data)
        rows.append(
            [
                fitted(Popularity(), split, data),
                fitted(ContentBased(), split, data),
                fitted(Bigram(), split, data),
                ndcg(data.oracle.recommender(split.item_ids), split),
            ]
        )
    return np.array(rows)


@pytest.mark.parametrize("rung", range(3), ids=lambda k: f"{RUNGS[k]}<{RUNGS[k + 1]}")
def test_each_rung_stands_clear_of_the_one_below(rung):
    """On every seed, by a gap far wider than the seeds' own noise."""
    low, high = ladder()[:, rung], ladder()[:, rung + 1]
    assert (high > 1.5 * low).all()
    noise = np.hypot(low.std(ddof=1), high.std(ddof=1))
    assert (high - low).min() > 4 * noise


def test_the_rungs_lie_where_the_course_wants_them():
    popularity, content, bigram, oracle = ladder().T
    assert ((popularity > 0.015) & (popularity < 0.035)).all()
    assert ((content > 0.04) & (content < 0.09)).all()
    assert ((bigram > 0.12) & (bigram < 0.17)).all()
    assert (oracle > 2 * bigram).all()
    assert (oracle < 3 * bigram).all()  # and is not out of reach


@pytest.mark.parametrize("seed", SEEDS)
def test_text_carries_taste_into_a_hidden_domain_and_ids_do_not(seed):
    """Rank the courses for users whose courses are hidden.

    The platform of courses is apart here: ids of the two sides never meet in one history, and
    only words do.
    """
    data = world(seed)
    split = hidden_domain(data, "courses", linked=False, seed=seed)
    popularity = fitted(Popularity(), split, data)
    hybrid = fitted(Hybrid([ContentBased(), Popularity()], weights=[2, 1]), split, data)
    ids = fitted(ItemKNN(), split, data)
    assert hybrid > 1.15 * popularity
    assert ids < 1.05 * popularity
