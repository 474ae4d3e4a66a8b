"""The oracle tells the truth: its numbers are the odds by which the next event was drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from m6rec_lite.data import bazaar
from m6rec_lite.data.bazaar.choice import Choice
from m6rec_lite.data.bazaar.oracle import Oracle
from m6rec_lite.data.bazaar.simulate import Simulation, Trail, draw_times, simulate
from m6rec_lite.data.bazaar.world import draw_world
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.tables import EVENTS, DataError


@pytest.fixture(scope="module")
def dataset():
    return bazaar.generate(users=600, items=300, seed=5, text=False, slates=0.0, progress=False)


@pytest.fixture(scope="module")
def predictions(dataset):
    """Probabilities of all items, and what came, for a sample of events from first to last."""
    rows = dataset.interactions.sample(4000, random_state=0)
    table = dataset.oracle.scores(rows.user_id, dataset.oracle.item_ids, rows.timestamp.to_numpy())
    return table, rows.item_id.to_numpy() - bazaar.FIRST_ITEM


def test_rows_are_distributions(predictions):
    table, came = predictions
    assert (table >= 0).all()
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-9)
    assert (table[np.arange(len(came)), came] > 0).all()  # what came was possible


def test_probabilities_are_calibrated(predictions):
    """In each band of stated probability, as many events fall as the band promises."""
    table, came = predictions
    bands = np.quantile(table, [0, 0.5, 0.9, 0.98, 0.995, 0.999, 1])
    hit = np.zeros(table.shape, dtype=bool)
    hit[np.arange(len(came)), came] = True
    band = np.clip(np.searchsorted(bands, table, side="right") - 1, 0, len(bands) - 2)
    expected = np.bincount(band.ravel(), weights=table.ravel(), minlength=len(bands) - 1)
    observed = np.bincount(band[hit], minlength=len(bands) - 1)
    assert expected.min() > 20
    chi_square = ((observed - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(chi_square, df=len(expected) - 1) > 1e-3


def test_log_probability_is_the_entropy_it_promises(predictions):
    """Mean log probability of what came equals the mean negative entropy, within its error."""
    table, came = predictions
    logs = np.log(np.where(table > 0, table, 1.0))
    promised = (table * logs).sum(axis=1)
    gap = logs[np.arange(len(came)), came] - promised
    assert abs(gap.mean()) < 4 * gap.std() / np.sqrt(len(gap))
    assert promised.mean() > -0.85 * np.log(table.shape[1])  # it does know something


def test_next_event_drawn_again_and_again_has_the_stated_distribution():
    """Rewind one shopper's life and draw the next event 20,000 times."""
    world = draw_world(bazaar.Dials.of(users=40, items=120, seed=2, new_users=0.0))
    choice = Choice(world)
    rng = np.random.default_rng(0)
    times = draw_times(world, rng)
    one = Simulation(choice, rng)
    who = np.arange(40)
    steps = [one.step(who, times[:, t]) for t in range(6)]
    # The same six events as the trail of an oracle.
    item, hidden, bought = (np.stack([step[k] for step in steps], axis=1) for k in range(3))
    codes = np.where(bought, EVENTS.index("purchase"), EVENTS.index("view")).astype(np.int8)
    trail = Trail(
        np.arange(41) * 6, item.ravel().astype(np.int32), times[:, :6].ravel(), codes.ravel(),
        hidden.ravel(),
    )  # fmt: skip
    shopper, draws = 7, 20_000
    reported = Oracle(world, trail).scores(
        [shopper + 1], Oracle(world, trail).item_ids, times[shopper, 6]
    )[0]
    many = Simulation(choice, rng)
    state = vars(one)
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            setattr(many, name, np.repeat(value[shopper : shopper + 1], draws, axis=0))
    # Every copy is the same shopper: the choice sees one row repeated.
    copies = world.shoppers[np.full(draws, shopper)]
    many.choice = Choice(replace(world, shoppers=copies))
    came, _, _ = many.step(np.arange(draws), np.full(draws, times[shopper, 6]))
    count = np.bincount(came, minlength=len(reported))
    assert count[reported == 0].sum() == 0
    likely = reported * draws >= 8
    expected = np.append(reported[likely], reported[~likely].sum()) * draws
    observed = np.append(count[likely], count[~likely].sum())
    observed, expected = observed[expected > 0], expected[expected > 0]
    assert likely.sum() > 10
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_only_the_past_counts(dataset):
    """Dropping a shopper's later events changes no score at an earlier moment."""
    oracle = dataset.oracle
    trail = oracle.trail
    shopper = int(np.argmax(np.diff(trail.offsets)))
    first, last = trail.offsets[shopper], trail.offsets[shopper + 1]
    middle = (first + last) // 2
    at = trail.at[middle]
    whole = oracle.scores([shopper + 1], oracle.item_ids, at)
    keep = np.ones(len(trail), dtype=bool)
    keep[middle:last] = False
    offsets = np.concatenate(([0], np.cumsum(keep)))[trail.offsets]
    cut = Trail(
        offsets, *(getattr(trail, name)[keep] for name in ("item", "at", "event", "hidden"))
    )
    np.testing.assert_allclose(
        Oracle(oracle.world, cut).scores([shopper + 1], oracle.item_ids, at), whole, atol=1e-12
    )
    # One event more does change it: the event itself.
    assert not np.allclose(oracle.scores([shopper + 1], oracle.item_ids, at + 1), whole)


def test_unreleased_items_cannot_come(dataset):
    oracle, items = dataset.oracle, dataset.items
    at = int(dataset.interactions.timestamp.quantile(0.3))
    table = oracle.scores(dataset.users.user_id[:50], items.item_id, at)
    late = (items.released > at).to_numpy()
    assert late.any()
    assert (table[:, late] == 0).all()
    assert (table[:, ~late] > 0).mean() > 0.9


def test_seen_items_are_less_likely(dataset):
    """A shopper's own past items lose probability against what they have for like shoppers."""
    rows = dataset.interactions
    last = rows.groupby("user_id").tail(1)
    table = dataset.oracle.scores(
        last.user_id, dataset.oracle.item_ids, last.timestamp.to_numpy() + 60
    )
    position = np.searchsorted(last.user_id.to_numpy(), rows.user_id.to_numpy())
    seen = np.zeros(table.shape, dtype=bool)
    seen[position, rows.item_id.to_numpy() - bazaar.FIRST_ITEM] = True
    share = (table * seen).sum(axis=1).mean()
    world = dataset.oracle.world
    forgetful = Oracle(
        replace(world, dials=replace(world.dials, revisits=1.0)), dataset.oracle.trail
    )
    again = forgetful.scores(last.user_id, dataset.oracle.item_ids, last.timestamp.to_numpy() + 60)
    assert share < 0.8 * (again * seen).sum(axis=1).mean()


def test_one_by_one_equals_together_and_any_order_of_items(dataset):
    rows = dataset.interactions.sample(20, random_state=3)
    some = dataset.items.item_id.to_numpy()[[7, 3, 200, 41]]
    at = rows.timestamp.to_numpy()
    together = dataset.oracle.scores(rows.user_id, some, at)
    for k, (user, now) in enumerate(zip(rows.user_id, at, strict=True)):
        np.testing.assert_allclose(dataset.oracle.scores([user], some, now)[0], together[k])
    np.testing.assert_allclose(
        dataset.oracle.scores(rows.user_id, some[::-1], at), together[:, ::-1]
    )


def test_shopper_without_a_past_is_answered_from_taste():
    data = bazaar.generate(users=5, items=120, text=False, slates=0.0, progress=False, seed=3)
    before = data.oracle.world.shoppers.joined - 10
    table = data.oracle.scores(data.users.user_id, data.oracle.item_ids, before)
    np.testing.assert_allclose(table.sum(axis=1), 1.0, atol=1e-9)
    assert data.oracle.last_item(data.users.user_id, before).tolist() == [-1] * 5


@pytest.mark.parametrize(
    "wrong", [{"user_ids": [0]}, {"user_ids": [10**9]}, {"item_ids": [5]}, {"item_ids": [20_000]}]
)
def test_unknown_ids_raise(dataset, wrong):
    options = {"user_ids": [1], "item_ids": [bazaar.FIRST_ITEM]} | wrong
    with pytest.raises(DataError, match="the oracle knows"):
        dataset.oracle.scores(at=1_700_000_000, **options)


def test_recommender_ranks_by_the_scores(dataset):
    items = dataset.oracle.item_ids[::2]
    model = dataset.oracle.recommender(items)
    histories = Histories.from_lists(
        [[items[0]], []], items, user_ids=[3, 4], at=[1_700_000_000, 1_690_000_000]
    )
    expected = dataset.oracle.scores([3, 4], items, [1_700_000_000, 1_690_000_000])
    np.testing.assert_array_equal(model.score(histories), expected)
    assert model.name == "Oracle"
    other = Histories.from_lists([[]], items[:-1])
    with pytest.raises(DataError, match="item_ids"):
        model.score(other)


def test_click_probability_rises_with_what_the_shopper_wants(dataset):
    rows = dataset.interactions.sample(300, random_state=1)
    at, users = rows.timestamp.to_numpy(), rows.user_id.to_numpy()
    table = dataset.oracle.scores(users, dataset.oracle.item_ids, at)
    slates = np.argsort(-table, axis=1)[:, [0, 10, 100, 250]] + bazaar.FIRST_ITEM
    chance = dataset.oracle.click_probability(users, slates, at)
    assert (np.diff(chance, axis=1) <= 0).all()
    assert chance[:, 0].mean() > 5 * chance[:, -1].mean()
    seen = dataset.oracle.click_probability(users, slates, at, np.arange(4))
    np.testing.assert_allclose(seen, chance * dataset.oracle.examination(np.arange(4)))
    pair = dataset.oracle.click_probability(users, slates[:, 1], at)
    np.testing.assert_allclose(pair, chance[:, 1])


def test_oracle_of_a_simulation_equals_oracle_of_the_tables(dataset, tmp_path):
    bazaar.save(dataset, tmp_path)
    again = bazaar.load(tmp_path)
    rows = dataset.interactions.sample(200, random_state=4)
    at = rows.timestamp.to_numpy()
    np.testing.assert_array_equal(
        dataset.oracle.scores(rows.user_id, dataset.oracle.item_ids, at),
        again.oracle.scores(rows.user_id, dataset.oracle.item_ids, at),
    )


def test_same_seed_same_trail_and_another_seed_another():
    def trail(seed):
        return simulate(
            Choice(draw_world(bazaar.Dials.of(users=50, items=120, seed=seed))),
            np.random.default_rng(seed),
            progress=False,
        )

    np.testing.assert_array_equal(trail(1).item, trail(1).item)
    assert not np.array_equal(trail(1).item[:200], trail(2).item[:200])
