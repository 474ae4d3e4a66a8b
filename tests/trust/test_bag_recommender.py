"""The recommender that is trained with differential privacy, or against changes."""

from __future__ import annotations

import numpy as np
import pytest

from m6rec_lite.data import DataError
from m6rec_lite.evaluation import evaluate
from m6rec_lite.trust import BagRecommender, epsilon_spent, next_item_losses
from tests.worlds import small, small_split

QUICK = {"factors": 16, "sample_rate": 0.2, "positions": 2}


def fitted(**settings: object) -> BagRecommender:
    model = BagRecommender(**{**QUICK, "steps": 8, **settings})
    return model.fit(small_split().train, items=small().items, progress=False)


def ndcg(model: BagRecommender) -> float:
    return evaluate(model, small_split(), bootstrap=0, progress=False)["ndcg@10"]


def test_training_lowers_the_loss_of_the_training_people() -> None:
    histories = small_split().train.histories()[:200]

    def loss(**settings: object) -> float:
        return float(np.nanmean(next_item_losses(fitted(**settings), histories)))

    for item_input in ("text", "ids"):
        assert loss(item_input=item_input, steps=40) < loss(item_input=item_input, steps=0)


def test_the_noise_keeps_the_promise_and_the_counts_are_not_kept() -> None:
    model = fitted(epsilon=2.0)
    assert epsilon_spent(model.noise_multiplier_, 0.2, 8, 1e-5) <= 2.0
    assert not model.popularity_.any()
    assert fitted().popularity_.any()
    assert fitted(epsilon=np.inf).noise_multiplier_ == 0.0


def test_less_epsilon_is_more_noise() -> None:
    noises = [fitted(epsilon=e).noise_multiplier_ for e in (10.0, 1.0, 0.3)]
    assert noises == sorted(noises)


def test_clipping_without_noise_at_a_high_limit_changes_nothing() -> None:
    """Only the number of people by which the sum is divided differs: drawn, or expected."""
    plain = fitted(sample_rate=1.0, lr=5.0)
    clipped = fitted(sample_rate=1.0, lr=5.0, epsilon=np.inf, max_norm=1e6)
    np.testing.assert_allclose(plain.map_, clipped.map_, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "settings", [{}, {"item_input": "ids"}, {"radius": 0.1}, {"contrast": 0.1}]
)
def test_a_seed_repeats_a_run(settings: dict) -> None:
    first, second = fitted(**settings), fitted(**settings)
    np.testing.assert_array_equal(first.map_, second.map_)
    assert np.isfinite(first.map_).all()


def test_options_against_changes_take_part_in_training() -> None:
    maps = [fitted(lr=5.0, **more).map_ for more in ({}, {"radius": 0.3}, {"contrast": 0.5})]
    assert not np.allclose(maps[0], maps[1], atol=1e-4)
    assert not np.allclose(maps[0], maps[2], atol=1e-4)


def test_an_attack_moves_each_vector_by_the_radius_and_lowers_the_ranking() -> None:
    model = fitted(steps=40, lr=40.0)
    attacked = model.under_attack(small_split().train, 0.5)
    moved = np.linalg.norm(attacked.vectors_ - model.vectors_, axis=1)
    assert moved.max() == pytest.approx(0.5, rel=1e-4)
    assert ndcg(attacked) < ndcg(model)


def test_it_is_saved_and_loaded(tmp_path) -> None:
    model, histories = fitted(), small_split().test.histories[:5]
    again = BagRecommender.load(model.save(tmp_path / "model"))
    np.testing.assert_allclose(again.score(histories), model.score(histories))
    assert again.get_params() == model.get_params()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"epsilon": 0}, "epsilon must be > 0"),
        ({"epsilon": -1.0}, "epsilon must be > 0"),
        ({"delta": 2.0, "epsilon": 1.0}, "delta must lie"),
        ({"sample_rate": 0}, "sample_rate must be > 0"),
        ({"max_norm": 0}, "max_norm must be > 0"),
        ({"item_input": "both"}, "item_input must be"),
        ({"radius": 0.1, "epsilon": 1.0}, "not private"),
        ({"steps": -1}, "steps must be >= 0"),
        ({"factors": 0}, "factors must be at least 1"),
    ],
)
def test_bad_settings_are_refused(settings: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        BagRecommender(**settings)


def test_text_needs_a_table_of_items() -> None:
    with pytest.raises(DataError, match="items"):
        BagRecommender().fit(small_split().train, progress=False)
