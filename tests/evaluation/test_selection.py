"""Choosing the best of n flatters on the questions that chose it."""

from __future__ import annotations

import numpy as np
import pytest

from m6rec_lite.evaluation import best_of_n


def test_equal_models_have_no_gain_and_growing_optimism():
    values = np.random.default_rng(0).random((40, 200))
    found = {n: best_of_n(values, n, draws=400, seed=1) for n in (1, 4, 32)}
    assert abs(found[1].optimism) < 0.004
    assert 0.01 < found[4].optimism < found[32].optimism
    np.testing.assert_allclose(found[1].fresh, found[1].typical)
    assert abs((found[32].fresh - found[32].typical).mean()) < 0.004


def test_a_model_that_is_better_everywhere_is_found_without_optimism():
    values = np.zeros((5, 20))
    values[3] = 1.0
    found = best_of_n(values, 5, draws=10)
    assert found.optimism == 0
    np.testing.assert_array_equal(found.fresh, 1.0)
    np.testing.assert_allclose(found.typical, 0.2)


def test_a_seed_repeats_the_draws():
    values = np.random.default_rng(0).random((6, 30))
    np.testing.assert_array_equal(
        best_of_n(values, 3, seed=4).chosen, best_of_n(values, 3, seed=4).chosen
    )


@pytest.mark.parametrize("n", [0, 4])
def test_n_is_bounded_by_the_models(n):
    with pytest.raises(ValueError, match="n must be between 1 and the 3 models"):
        best_of_n(np.zeros((3, 10)), n)


def test_one_question_cannot_be_halved():
    with pytest.raises(ValueError, match="halves"):
        best_of_n(np.zeros((3, 1)), 2)
