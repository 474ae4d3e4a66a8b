"""Slates: known propensities, known examination, and what each is good for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from m6rec_lite.data import bazaar
from m6rec_lite.data.bazaar.exposure import SLATE_SIZE, FrontPage, log_slates
from m6rec_lite.data.bazaar.oracle import Oracle


@pytest.fixture(scope="module")
def dataset():
    return bazaar.generate(users=1500, items=400, seed=1, text=False, slates=12.0, progress=False)


@pytest.fixture(scope="module")
def log(dataset):
    """The log, with the true relevance of each impression."""
    log = dataset.impressions
    shape = (-1, SLATE_SIZE)
    users, at = (log[name].to_numpy().reshape(shape)[:, 0] for name in ("user_id", "timestamp"))
    slates = log.item_id.to_numpy().reshape(shape)
    relevance = dataset.oracle.click_probability(users, slates, at).ravel()
    return log.assign(relevance=relevance)


def test_each_slate_is_whole(dataset):
    log = dataset.impressions
    assert log.groupby("slate_id").size().eq(SLATE_SIZE).all()
    assert not log.duplicated(["slate_id", "item_id"]).any()
    assert not log.duplicated(["slate_id", "position"]).any()
    released = dataset.items.set_index("item_id").released.reindex(log.item_id).to_numpy()
    assert (released <= log.timestamp.to_numpy()).all()
    assert not (log.purchased & ~log.clicked).any()
    assert log.purchased.sum() > 100


def test_propensity_is_the_rate_at_which_the_policy_shows(dataset):
    """Draw one shopper's page 20,000 times and count what lies where."""
    row = dataset.interactions.sample(1, random_state=2).iloc[0]
    page = FrontPage(dataset.oracle)
    n = 20_000
    users, at = np.full(n, row.user_id), np.full(n, row.timestamp)
    slates = np.concatenate(
        [page.show(users[:2000], at[:2000], np.random.default_rng(k)) for k in range(n // 2000)]
    )
    items = dataset.oracle.item_ids
    counts = np.stack([np.bincount(slates[:, p] - items[0], minlength=len(items))
                       for p in range(SLATE_SIZE)], axis=1)  # fmt: skip
    stated = np.stack(
        [
            page.propensities(
                users[: len(items)],
                at[: len(items)],
                np.tile(items[:, None], (1, SLATE_SIZE)),
            )[:, p]
            for p in range(SLATE_SIZE)
        ],
        axis=1,
    )
    np.testing.assert_allclose(stated.sum(axis=0), 1.0, atol=1e-9)  # one item at each position
    assert (stated.sum(axis=1) <= 1 + 1e-9).all()
    error = np.sqrt(stated * (1 - stated) / n)
    z = (counts / n - stated)[stated > 0.002] / error[stated > 0.002]
    assert len(z) > 200
    assert 0.85 < z.std() < 1.15
    assert abs(z).max() < 5
    assert counts[stated == 0].sum() == 0


def test_logged_propensities_are_the_policys(dataset):
    log = dataset.impressions
    slates = log.item_id.to_numpy().reshape(-1, SLATE_SIZE)[:50]
    users, at = (
        log[name].to_numpy().reshape(-1, SLATE_SIZE)[:50, 0] for name in ("user_id", "timestamp")
    )
    stated = FrontPage(dataset.oracle).propensities(users, at, slates)
    np.testing.assert_allclose(
        log.propensity.to_numpy()[: 50 * SLATE_SIZE], stated.ravel(), rtol=1e-5
    )


def test_clicks_fall_with_position_at_equal_relevance_and_weighting_corrects_it(log):
    """Clicks per unit of relevance: falling as logged, flat once weighted by examination."""
    by = log.groupby("position")
    per_relevance = by.clicked.sum() / by.relevance.sum()
    assert per_relevance.iloc[0] > 3 * per_relevance.iloc[-1]
    # In bands of relevance too, so that it is not the ring's doing.
    band = np.digitize(log.relevance, [0.05, 0.2])
    for one in range(3):
        part = log[band == one].groupby("position").clicked.mean()
        assert part.iloc[:2].mean() > 2 * part.iloc[-4:].mean()
    weighted = log.clicked / log.examination
    gap = (weighted - log.relevance).groupby(log.position).agg(["mean", "std", "size"])
    assert (gap["mean"].abs() < 4 * gap["std"] / np.sqrt(gap["size"])).all()


def test_position_and_relevance_are_confounded_in_the_log(log):
    """The page puts what a shopper came for at the top, so plain click rates mislead."""
    relevance = log.groupby("position").relevance.mean()
    assert relevance.iloc[0] > 1.3 * relevance.mean()


def test_without_position_bias_clicks_are_flat(dataset):
    world = dataset.oracle.world
    flat = Oracle(
        replace(world, dials=replace(world.dials, position_bias=0.0)), dataset.oracle.trail
    )
    assert (flat.examination(np.arange(SLATE_SIZE)) == 1).all()
    log = log_slates(flat, np.random.default_rng(0), progress=False)
    users, at = (log[n].to_numpy().reshape(-1, SLATE_SIZE)[:, 0] for n in ("user_id", "timestamp"))
    relevance = flat.click_probability(users, log.item_id.to_numpy().reshape(-1, SLATE_SIZE), at)
    gap = (log.clicked - relevance.ravel()).groupby(log.position).agg(["mean", "std", "size"])
    assert (gap["mean"].abs() < 4 * gap["std"] / np.sqrt(gap["size"])).all()
    assert (log.examination == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("turned", [{"near": 1.0, "settled": 0.1}, {"near": 25.0, "settled": 0.8}])
def test_weighting_by_propensity_estimates_another_policys_clicks(dataset, turned):
    """Off-policy estimate from the log against live answers to the other policy's pages."""
    log, oracle = dataset.impressions, dataset.oracle
    other = FrontPage(oracle, **turned)
    users, at = (log[n].to_numpy().reshape(-1, SLATE_SIZE)[:, 0] for n in ("user_id", "timestamp"))
    slates = log.item_id.to_numpy().reshape(-1, SLATE_SIZE)
    clicked = log.clicked.to_numpy().reshape(-1, SLATE_SIZE)
    logged = log.propensity.to_numpy().reshape(-1, SLATE_SIZE)
    weight = other.propensities(users, at, slates) / logged
    predicted = (weight * clicked).sum(axis=1)  # clicks a page
    rng = np.random.default_rng(9)
    live = oracle.respond(users, other.show(users, at, rng), at, rng).clicked.sum(axis=1)
    error = np.hypot(predicted.std(), live.std()) / np.sqrt(len(users))
    assert abs(predicted.mean() - live.mean()) < 4 * error
    assert error < 0.15 * live.mean()
    plain = clicked.sum(axis=1)
    plain_error = np.hypot(plain.std(), live.std()) / np.sqrt(len(users))
    assert abs(plain.mean() - live.mean()) > 6 * plain_error  # the log unweighted is off


def test_respond_takes_one_shopper_and_keeps_shape(dataset):
    oracle, rng = dataset.oracle, np.random.default_rng(0)
    slate = oracle.item_ids[:6]
    one = oracle.respond(5, slate, 1_700_000_000, rng)
    assert one.clicked.shape == one.purchased.shape == (6,)
    many = oracle.respond([5, 6], np.stack([slate, slate]), 1_700_000_000, rng)
    assert many.clicked.shape == (2, 6)


def test_responses_come_at_the_stated_rate(dataset):
    oracle, n = dataset.oracle, 20_000
    at = int(dataset.interactions[dataset.interactions.user_id == 9].timestamp.iloc[-1])
    table = oracle.scores([9], oracle.item_ids, at)[0]
    slate = oracle.item_ids[np.argsort(-table)[[0, 3, 20, 200]]]
    stated = oracle.click_probability([9], slate[None], at, np.arange(4))[0]
    rng = np.random.default_rng(4)
    clicks, bought = np.zeros(4), np.zeros(4)
    answer = oracle.respond(np.full(n, 9), np.tile(slate, (n, 1)), at, rng)
    clicks, bought = answer.clicked.mean(axis=0), answer.purchased.mean(axis=0)
    assert (abs(clicks - stated) < 4.5 * np.sqrt(stated / n)).all()
    buys = stated * oracle.purchase_probability([9], slate[None])[0]
    assert (abs(bought - buys) < 4.5 * np.sqrt(buys / n) + 1e-4).all()


def test_no_slates_no_table():
    data = bazaar.generate(users=20, items=60, slates=0.0, text=False, progress=False)
    assert data.impressions is None
