"""``BagRecommender``, plain, trained with differential privacy, and against changes."""

from __future__ import annotations

import numpy as np
import pytest

from m6rec_lite.data import DataError
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import BagRecommender, item_texts, tf_idf, words_and_bigrams
from m6rec_lite.recommenders.bag import TEXT_COLUMNS, text_factors
from m6rec_lite.trust import (
    PrivateBagRecommender,
    RobustBagRecommender,
    epsilon_spent,
    next_item_losses,
    under_attack,
)
from tests.worlds import small, small_split

QUICK = {"factors": 16, "sample_rate": 0.2, "positions": 2}


def fitted(kind: type[BagRecommender] = BagRecommender, **settings: object) -> BagRecommender:
    model = kind(**{**QUICK, "steps": 8, **settings})
    return model.fit(small_split().train, items=small().items, progress=False)


def ndcg(model: BagRecommender) -> float:
    return evaluate(model, small_split(), bootstrap=0, progress=False)["ndcg@10"]


def test_training_lowers_the_loss_of_the_training_people() -> None:
    histories = small_split().train.histories()[:200]

    def loss(**settings: object) -> float:
        return float(np.nanmean(next_item_losses(fitted(**settings), histories)))

    assert loss(steps=40) < loss(steps=0)
    assert loss(item_input="ids", lr=1.0, steps=40) < loss(item_input="ids", steps=0)


def test_training_that_diverges_says_what_to_change() -> None:
    with pytest.raises(FloatingPointError, match="a smaller lr than 1e"):
        fitted(item_input="ids", lr=1e6)


def test_vectors_of_texts_are_a_truncated_svd() -> None:
    words, _ = tf_idf(item_texts(small().items, TEXT_COLUMNS), words_and_bigrams, min_df=2)
    vectors = text_factors(small().items, 5)
    left, sizes, _ = np.linalg.svd(words.toarray(), full_matrices=False)
    exact = (left * sizes)[:, :5]
    exact -= exact.mean(axis=0)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors @ vectors.T, exact @ exact.T, atol=1e-3)


def test_the_noise_keeps_the_promise_and_the_counts_are_not_kept() -> None:
    model = fitted(PrivateBagRecommender, epsilon=2.0)
    assert epsilon_spent(model.noise_multiplier_, 0.2, 8, 1e-5) <= 2.0
    assert not model.popularity_.any()
    assert fitted().popularity_.any()
    assert fitted(PrivateBagRecommender, epsilon=np.inf).noise_multiplier_ == 0.0


def test_less_epsilon_is_more_noise() -> None:
    noises = [fitted(PrivateBagRecommender, epsilon=e).noise_multiplier_ for e in (10.0, 1.0, 0.3)]
    assert noises == sorted(noises)


def test_clipping_without_noise_at_a_high_limit_changes_nothing() -> None:
    """Only the number of people by which the sum is divided differs: drawn, or expected."""
    plain = fitted(sample_rate=1.0, lr=5.0)
    limits = {"epsilon": np.inf, "max_norm": 1e6}
    clipped = fitted(PrivateBagRecommender, sample_rate=1.0, lr=5.0, **limits)
    np.testing.assert_allclose(plain.map_, clipped.map_, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (BagRecommender, {}),
        (BagRecommender, {"item_input": "ids"}),
        (PrivateBagRecommender, {"item_input": "ids"}),
        (RobustBagRecommender, {"radius": 0.1}),
        (RobustBagRecommender, {"contrast": 0.1}),
    ],
)
def test_a_seed_repeats_a_run(kind: type[BagRecommender], settings: dict) -> None:
    first, second = fitted(kind, **settings), fitted(kind, **settings)
    np.testing.assert_array_equal(first.map_, second.map_)
    assert np.isfinite(first.map_).all()


def test_options_against_changes_take_part_in_training() -> None:
    changes = {}, {"radius": 0.3}, {"contrast": 0.5}
    maps = [fitted(RobustBagRecommender, lr=5.0, **more).map_ for more in changes]
    np.testing.assert_array_equal(maps[0], fitted(lr=5.0).map_)
    assert not np.allclose(maps[0], maps[1], atol=1e-4)
    assert not np.allclose(maps[0], maps[2], atol=1e-4)


def test_an_attack_moves_each_vector_by_the_radius_and_lowers_the_ranking() -> None:
    model = fitted(steps=40, lr=40.0)
    attacked = under_attack(model, small_split().train, 0.5)
    moved = np.linalg.norm(attacked.vectors_ - model.vectors_, axis=1)
    assert moved.max() == pytest.approx(0.5, rel=1e-4)
    assert ndcg(attacked) < ndcg(model)


def test_it_is_saved_and_loaded(tmp_path) -> None:
    model, histories = fitted(PrivateBagRecommender), small_split().test.histories[:5]
    again = PrivateBagRecommender.load(model.save(tmp_path / "model"))
    np.testing.assert_allclose(again.score(histories), model.score(histories))
    assert again.get_params() == model.get_params()


@pytest.mark.parametrize(
    ("kind", "settings", "match"),
    [
        (PrivateBagRecommender, {"epsilon": 0}, "epsilon must be > 0"),
        (PrivateBagRecommender, {"epsilon": -1.0}, "epsilon must be > 0"),
        (PrivateBagRecommender, {"delta": 2.0}, "delta must lie"),
        (PrivateBagRecommender, {"max_norm": 0}, "max_norm must be > 0"),
        (RobustBagRecommender, {"radius": -0.1}, "radius must be >= 0"),
        (BagRecommender, {"sample_rate": 0}, "sample_rate must be > 0"),
        (BagRecommender, {"lr": 0.0}, "lr must be > 0"),
        (BagRecommender, {"item_input": "both"}, "item_input must be"),
        (BagRecommender, {"steps": -1}, "steps must be >= 0"),
        (BagRecommender, {"factors": 0}, "factors must be at least 1"),
    ],
)
def test_bad_settings_are_refused(kind: type[BagRecommender], settings: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        kind(**settings)


def test_text_needs_a_table_of_items() -> None:
    with pytest.raises(DataError, match="items"):
        BagRecommender().fit(small_split().train, progress=False)
