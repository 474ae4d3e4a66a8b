"""The simple models on real MovieLens rows, against figures that others measured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from m6rec_lite.data import Dataset, Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import evaluate
from m6rec_lite.evaluation.published import SAME_TIES, SIMPLE_MODELS
from m6rec_lite.recommenders import EASE, Bigram, ItemKNN, Popularity, Recommender

pytestmark = pytest.mark.real_data


def real(name: str) -> Dataset:
    folder = os.environ.get("M6REC_DATA")
    if not folder or not (Path(folder) / name).is_dir():
        pytest.skip(f"needs the folder {name} in M6REC_DATA")
    return load_dataset(name)


@pytest.fixture(scope="module")
def small() -> Split:
    return leave_one_out(real("ml-100k"))


def judged(model: Recommender, split: Split) -> tuple[float, float]:
    model.fit(split.train, progress=False)
    report = evaluate(model, split, k=10, bootstrap=0, progress=False)
    return report["hr@10"], report["ndcg@10"]


@pytest.mark.parametrize(
    ("entry", "model", "hr_gap", "ndcg_gap"),
    [
        ("Popularity", Popularity(), 0.01, 0.005),
        ("ItemKNN", ItemKNN(k=400, shrink=0), 0.01, 0.005),
        ("ItemKNN decay", ItemKNN(k=200, shrink=10, decay=0.6), 0.01, 0.005),
        ("EASE", EASE(l2=100), 0.0001, 0.0001),
        ("EASE decay", EASE(l2=300, decay=0.9), 0.0001, 0.0001),
        ("Bigram", Bigram(), 0.001, 0.001),
    ],
)
def test_ml_100k_agrees_with_the_figures_elsewhere(
    small: Split, entry: str, model: Recommender, hr_gap: float, ndcg_gap: float
) -> None:
    reference = SIMPLE_MODELS["ml-100k"][entry]
    hr, ndcg = judged(model, small)
    assert hr == pytest.approx(reference.hr, abs=hr_gap)
    assert ndcg == pytest.approx(reference.ndcg, abs=ndcg_gap)


@pytest.mark.parametrize("name", ["ml-100k", "ml-1m"])
def test_bigram_equals_an_independent_evaluator(name: str) -> None:
    reference = SAME_TIES[name]["Bigram"]
    hr, ndcg = judged(Bigram(), leave_one_out(real(name)))
    assert (round(hr, 4), round(ndcg, 4)) == (reference.hr, reference.ndcg)


def test_recency_is_worth_more_than_the_choice_of_model(small: Split) -> None:
    order_blind = max(judged(EASE(l2=100), small)[1], judged(ItemKNN(k=400, shrink=0), small)[1])
    recent = min(judged(EASE(decay=0.9), small)[1], judged(ItemKNN(decay=0.6), small)[1])
    assert recent > 1.25 * order_blind
