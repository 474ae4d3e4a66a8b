"""Each dial at its "Off" value: the effect is not small but gone.

``test_world`` measures on a log that an effect is smaller without its dial. Here the probabilities
that the log is drawn from must not depend on what the effect reads: its attribute is changed, and
nothing follows.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from m6rec_lite.data import Dataset, bazaar
from m6rec_lite.data.bazaar import Dials
from m6rec_lite.data.bazaar.choice import FRESH, PAUSE, Choice
from m6rec_lite.data.bazaar.world import START, World, draw_world

AT = START + 400 * 86_400
GAPS = np.array([10, PAUSE - 1, PAUSE + 1, 50 * PAUSE])
#: Dials of which another file tests that the effect is gone.
ELSEWHERE = {"position_bias", "slates"}


@cache
def small(**off: float) -> World:
    return draw_world(Dials.of(users=40, items=200, seed=2, **off))


@cache
def log(**off: float) -> Dataset:
    return bazaar.generate(users=40, items=80, seed=2, text=False, progress=False, slates=0, **off)


def item_odds(world: World, *, seen: bool = False) -> np.ndarray:
    """The odds of all items for all shoppers, without regard to an intent."""
    n, m = len(world.shoppers), len(world.items.domain)
    items = np.arange(m)[None]
    seen_before = np.full((n, m), seen)
    return Choice(world).item_odds(np.arange(n), np.full(n, AT), items, seen_before)


def next_items(world: World) -> np.ndarray:
    """The distribution of the item after a first part of a series, for all shoppers."""
    choice, n = Choice(world), len(world.shoppers)
    last = np.flatnonzero(small().items.part == 1)[np.arange(n) % 5]
    items = np.arange(choice.n_items)[None]
    odds = np.ones((n, choice.n_items))
    member = choice.member[world.cells[last]]
    return choice.item_distribution(np.arange(n), last, items, member, odds, member > 0)


def changed(world: World, **columns: np.ndarray) -> World:
    """The world with other attributes of its items."""
    return replace(world, items=replace(world.items, **columns))


def other(world: World, column: str) -> np.ndarray:
    """An attribute of the items with its values exchanged among items."""
    values = getattr(world.items, column)
    return values[np.random.default_rng(0).permutation(len(values))]


# --- items


@pytest.mark.parametrize(
    ("off", "column"),
    [({"style": 1.0}, "style"), ({"level": 1.0}, "level"), ({"price": 0.0}, "price")],
    ids=["style", "level", "price"],
)
def test_the_odds_of_items_ignore_the_attribute(off, column):
    world, default = small(**off), small()
    same = item_odds(changed(world, **{column: other(world, column)}))
    np.testing.assert_allclose(same, item_odds(world))
    differ = item_odds(changed(default, **{column: other(default, column)}))
    assert not np.allclose(differ, item_odds(default))


def test_the_odds_of_items_ignore_release_and_history():
    for off, first, second in (
        ({"freshness": 1.0}, AT - FRESH // 2, AT - 2 * FRESH),
        ({}, AT - FRESH // 2, AT - 2 * FRESH),
    ):
        odds = [
            item_odds(changed(small(**off), released=np.full(200, released)))
            for released in (first, second)
        ]
        assert np.allclose(*odds) == bool(off)
    for off in ({"revisits": 1.0}, {}):
        odds = [item_odds(small(**off), seen=seen) for seen in (False, True)]
        assert np.allclose(*odds) == bool(off)


@pytest.mark.parametrize(
    ("off", "columns"),
    [
        ({"complements": 0.0}, ["kind"]),
        ({"loyalty": 0.0}, ["creator"]),
        ({"series": 0.0}, ["series", "part"]),
    ],
    ids=["complements", "loyalty", "series"],
)
def test_the_next_item_ignores_the_attribute(off, columns):
    world, default = small(**off), small()
    same = next_items(changed(world, **{name: other(world, name) for name in columns}))
    np.testing.assert_allclose(same, next_items(world))
    differ = next_items(changed(default, **{name: other(default, name) for name in columns}))
    assert not np.allclose(differ, next_items(default))


def test_without_zipf_all_items_are_equally_popular():
    np.testing.assert_allclose(small(zipf=0.0).items.popularity, 1.0)
    assert small().items.popularity.max() > 5


def test_without_late_items_all_are_released_on_the_first_day():
    assert (small(late=0.0).items.released < START).all()
    assert (small().items.released > START).any()


# --- intents


@pytest.mark.parametrize("dial", ["season", "weather", "weekday"])
def test_the_moment_does_not_matter(dial):
    factors = getattr(Choice(small(**{dial: 0.0})), dial)
    np.testing.assert_allclose(factors, 1.0)
    assert np.ptp(getattr(Choice(small()), dial)) > 0.1


def test_without_drift_the_first_taste_is_the_last():
    shoppers = small(drift=0.0).shoppers
    np.testing.assert_allclose(shoppers.early, shoppers.late, atol=1e-6)


def test_without_curiosity_intents_come_from_the_taste():
    world = small(curiosity=0.0)
    intents = Choice(world).intent_distribution(np.arange(40), np.full(40, AT))
    interests = intents.reshape(40, 5, -1).sum(axis=1)
    taste = world.shoppers.early + world.shoppers.late
    assert (interests[taste == 0] == 0).all()


def test_without_switch_persistence_and_memory():
    assert (Choice(small(switch=0.0)).switch_probability(GAPS) == 0).all()
    assert (log(switch=0.0).oracle.trail.intent == 0).all()
    assert (Choice(small(persistence=0.0)).unchanged_probability(GAPS) == 0).all()
    assert np.ptp(Choice(small(memory=1.0)).unchanged_probability(GAPS)) == 0
    assert np.ptp(Choice(small()).unchanged_probability(GAPS)) > 0


def test_without_noise_and_repeats_every_event_serves_an_intent():
    assert (log(noise=0.0, repeats=0.0).oracle.trail.cell >= 0).all()
    calm = log(noise=0.0, repeats=0.3).oracle.trail
    rows = np.flatnonzero(calm.cell < 0)
    assert len(rows) > 20
    bought = log(noise=0.0, repeats=0.3).interactions.event.eq("purchase").to_numpy()
    for row in rows:  # a repeated purchase, not a stray item
        before = slice(calm.offsets[calm.shopper[row]], row)
        assert calm.item[row] in calm.item[before][bought[before]]


# --- people


def test_without_chinese_and_new_users():
    world = small(chinese=0.0)
    assert not world.shoppers.locale.any()
    assert not world.items.locale.any()
    assert (small(new_users=0.0).shoppers.events >= 8).all()
    assert (draw_world(Dials(users=400, items=60)).shoppers.events < 8).any()


# --- none is forgotten


def test_every_dial_with_an_off_value_is_tested_here():
    """The docstring of ``Dials`` names the values; this file uses each of them."""
    entry = re.compile(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)
    entries = entry.findall(inspect.getdoc(Dials) or "")
    stated = {name: float(found[1]) for name, text in entries
              if (found := re.search(r"Off: ([\d.]*\d)", text))}  # fmt: skip
    assert len(stated) >= 22
    text = Path(__file__).read_text(encoding="utf-8")
    for name, value in stated.items():
        used = re.search(rf'\b{name}"?\s*[:=]\s*{value}', text) or f'"{name}"' in text
        assert name in ELSEWHERE or used, f"{name}={value} is not tested"
