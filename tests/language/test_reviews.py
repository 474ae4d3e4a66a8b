"""The writer of reviews as a known source: every text, its probability, and the entropy."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from m6rec_lite.data import DataError, Dataset
from m6rec_lite.language.text.reviews import ReviewSource


@pytest.fixture(scope="module", params=["en", "zh"])
def source(bazaar: Dataset, request: pytest.FixtureRequest) -> ReviewSource:
    return ReviewSource(bazaar, request.param, rows=150)


def test_probabilities_are_a_distribution(source: ReviewSource) -> None:
    p = np.array(list(source.chances.values()))
    assert (p > 0).all()
    assert p.sum() == pytest.approx(1)
    assert source.entropy == pytest.approx(-(p * np.log(p)).sum())


def test_every_shipped_review_can_be_written(source: ReviewSource) -> None:
    assert set(source.reviews["text"]) <= set(source.chances)


def test_what_is_written_has_the_probabilities_that_are_stated(source: ReviewSource) -> None:
    """Texts in 20 groups of about equal probability: their frequencies, by a chi-square test."""
    drawn = Counter(source.write(8000, seed=1))
    assert set(drawn) <= set(source.chances)
    texts = sorted(source.chances, key=lambda text: text[::-1])
    p = np.array([source.chances[text] for text in texts])
    group = np.minimum((np.cumsum(p) * 20).astype(int), 19)
    wanted = np.bincount(group, p) * 8000
    result = np.bincount(group, [drawn[text] for text in texts])
    assert ((result - wanted) ** 2 / wanted).sum() < 48  # 19 degrees: p = 0.0003


def test_the_mean_surprise_of_new_reviews_is_the_entropy(source: ReviewSource) -> None:
    surprise = -np.log([source.chances[text] for text in source.write(4000, seed=2)])
    error = surprise.std() / np.sqrt(len(surprise))
    assert surprise.mean() == pytest.approx(source.entropy, abs=4 * error)


def test_the_same_seed_writes_the_same(source: ReviewSource) -> None:
    assert source.write(20, seed=3) == source.write(20, seed=3)
    assert source.write(20, seed=3) != source.write(20, seed=4)


def test_other_languages_and_other_data_are_refused(bazaar: Dataset) -> None:
    with pytest.raises(DataError, match="no reviews of locale 'fr'"):
        ReviewSource(bazaar, "fr")
    films = SimpleNamespace(name="films", reviews=None, oracle=None)
    with pytest.raises(DataError, match="films has no reviews whose writer is known"):
        ReviewSource(films)
