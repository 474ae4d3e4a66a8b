"""Click metrics against scikit-learn, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from m6rec_lite.evaluation.ctr import (
    auc,
    auc_by_group,
    calibration_error,
    ctr_metrics,
    gauc,
    log_loss,
    reliability_curve,
)

rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=60
)


@settings(max_examples=80, deadline=None)
@given(rows)
def test_auc_and_gauc_equal_scikit_learn_under_ties(case):
    clicked, score, group = (np.array(each) for each in zip(*case, strict=True))
    both = clicked.any() and not clicked.all()
    if both:
        assert auc(clicked, score) == pytest.approx(roc_auc_score(clicked, score))
    else:
        assert np.isnan(auc(clicked, score))
    values, weights = [], []
    for each in np.unique(group):
        own = group == each
        if clicked[own].any() and not clicked[own].all():
            values.append(roc_auc_score(clicked[own], score[own]))
            weights.append(own.sum())
    result = gauc(clicked, score, group)
    if values:
        assert result == pytest.approx(np.average(values, weights=weights))
    else:
        assert np.isnan(result)


def test_gauc_does_not_reward_telling_keen_users_from_idle_ones():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(200), 50)
    rate = rng.uniform(0.05, 0.95, 200)
    clicked = rng.random(len(user)) < rate[user]
    knows_users_only = rate[user]
    assert auc(clicked, knows_users_only) > 0.7
    assert gauc(clicked, knows_users_only, user) == 0.5


def test_groups_keep_their_names_and_counts():
    table = auc_by_group([1, 0, 1, 0, 0], [0.9, 0.1, 0.2, 0.3, 0.3], ["b", "b", "a", "a", "c"])
    assert table.index.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(table["auc"], [0.0, 1.0, np.nan])
    assert table["rows"].tolist() == [2, 2, 1]
    assert table["clicks"].tolist() == [1, 1, 0]


@pytest.mark.parametrize("seed", range(3))
def test_log_loss_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    p = rng.random(300)
    clicked = rng.random(300) < p
    assert log_loss(clicked, p) == pytest.approx(sklearn_log_loss(clicked, p))


def test_log_loss_of_a_certain_mistake_is_large_but_finite():
    assert log_loss([1.0], [0.0]) == pytest.approx(-np.log(1e-12))
    assert log_loss([0.0, 1.0], [0.0, 1.0]) == pytest.approx(0.0, abs=1e-11)


@pytest.mark.parametrize("binning", ["uniform", "quantile"])
def test_reliability_equals_scikit_learn(binning):
    rng = np.random.default_rng(4)
    p = rng.beta(1, 5, 2000)
    clicked = (rng.random(2000) < p).astype(int)
    curve = reliability_curve(clicked, p, n_bins=8, binning=binning)
    observed, predicted = calibration_curve(clicked, p, n_bins=8, strategy=binning)
    np.testing.assert_allclose(curve["observed"], observed)
    np.testing.assert_allclose(curve["predicted"], predicted)
    assert curve["rows"].sum() == 2000
    assert ((curve["low"] <= curve["predicted"]) & (curve["predicted"] <= curve["high"])).all()


def test_calibration_tells_an_honest_forecast_from_a_shifted_one_that_ranks_alike():
    rng = np.random.default_rng(5)
    p = rng.uniform(0, 0.5, 20_000)
    clicked = rng.random(20_000) < p
    assert calibration_error(clicked, p) < 0.015
    assert calibration_error(clicked, p + 0.2) == pytest.approx(0.2, abs=0.015)
    assert auc(clicked, p) == auc(clicked, p + 0.2)


def test_equal_predictions_share_one_bin():
    curve = reliability_curve([1, 0, 0, 1], [0.25] * 4)
    assert curve["rows"].tolist() == [4]
    assert curve[["low", "high", "predicted", "observed"]].iloc[0].tolist() == [0.25] * 3 + [0.5]
    assert calibration_error([1, 0, 0, 1], [0.25] * 4) == 0.25


def test_all_at_once_holds_gauc_only_with_groups():
    clicked, p = [1, 0, 1, 0], [0.8, 0.3, 0.4, 0.6]
    assert set(ctr_metrics(clicked, p)) == {"auc", "log_loss", "calibration_error"}
    assert ctr_metrics(clicked, p, [0, 0, 1, 1])["gauc"] == 0.5


@pytest.mark.parametrize(
    ("clicked", "p", "message"),
    [
        ([], [], "n at least 1"),
        ([1, 0], [0.5], "one length"),
        ([1, 2], [0.5, 0.5], "0 or 1; got .*2.* in row 1"),
        ([1, 0], [0.5, np.nan], "finite; got nan in row 1"),
        ([1, 0], [0.5, 3.0], "sigmoid"),
    ],
)
def test_bad_input_says_what_is_wrong(clicked, p, message):
    with pytest.raises(ValueError, match=message):
        log_loss(clicked, p)


def test_bad_options_raise():
    with pytest.raises(ValueError, match="n_bins"):
        reliability_curve([1, 0], [0.2, 0.4], n_bins=0)
    with pytest.raises(ValueError, match="binning"):
        reliability_curve([1, 0], [0.2, 0.4], binning="even")
    with pytest.raises(ValueError, match="one group per row"):
        gauc([1, 0], [0.2, 0.4], [1])
    with pytest.raises(ValueError, match="group is missing"):
        gauc([1, 0], [0.2, 0.4], ["a", None])
