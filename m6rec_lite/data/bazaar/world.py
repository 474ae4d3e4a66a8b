"""Items, shoppers and weather of a bazaar, drawn from one seed.

A *cell* is a pair of a domain and an interest (videos about jazz). Items of a cell share kinds,
creators and series; an intent of a shopper is a cell. Items of different domains have only the
words of their interests in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Self

import numpy as np
from scipy.special import ndtr

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.dials import Dials
from m6rec_lite.data.bazaar.latents import DOMAINS, LEVELS, LOCALES, ItemLatents
from m6rec_lite.data.ragged import offsets_of

START = 1_672_531_200  # 2023-01-01 00:00 UTC, a Sunday
DAYS = 730
DAY = 86_400
END = START + DAYS * DAY
N_INTERESTS = len(words.INTERESTS)
N_CELLS = len(DOMAINS) * N_INTERESTS
N_KINDS = 5
SPREAD = 1.4  #: standard deviation of the logarithm of the cells' sizes
SECOND_SHARE = 0.6  #: share of items with a second interest

CITIES = tuple(city.name for city in words.CITIES)
AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
GENDERS = ("woman", "man", "other")
OCCUPATIONS = (
    "student", "teacher", "engineer", "nurse", "artist", "manager", "driver", "cook", "retired",
)  # fmt: skip
LEVEL_SHARES = (0.4, 0.35, 0.25)
DOMAIN_SHARES = np.array([0.28, 0.20, 0.20, 0.17, 0.15])


@dataclass(frozen=True, eq=False)
class Shoppers:
    """Hidden attributes of ``n`` shoppers; the index of a shopper is ``user_id - 1``.

    Attributes:
        early: ``(n, n_interests)`` float32: sparse taste on joining; rows sum to 1.
        late: ``(n, n_interests)`` float32: taste on the last day; rows sum to 1.
        domains: ``(n, 5)`` float32: preference for each domain; rows sum to 1.
        style: ``(n,)`` int8, index into ``words.STYLES``.
        level: ``(n,)`` int8, index into ``LEVELS``.
        price_sensitivity: ``(n,)`` float32 in [0, 1].
        loyalty: ``(n,)`` float32 in [0, 1]: loyalty to creators.
        curiosity: ``(n,)`` float32: share of intents drawn from all interests.
        patience: ``(n,)`` float32 in [0, 1]: the higher, the longer the sessions and the more
            likely the next part of a series.
        aspects: ``(n, n_aspects)`` float32: weights of aspects in ratings; rows sum to 1.
        locale: ``(n,)`` int8, index into ``LOCALES``.
        city: ``(n,)`` int8, index into ``CITIES``.
        age: ``(n,)`` int8, index into ``AGES``.
        gender: ``(n,)`` int8, index into ``GENDERS``.
        occupation: ``(n,)`` int8, index into ``OCCUPATIONS``.
        joined: ``(n,)`` int64 unix seconds.
        events: ``(n,)`` int16: number of organic events.
    """

    early: np.ndarray
    late: np.ndarray
    domains: np.ndarray
    style: np.ndarray
    level: np.ndarray
    price_sensitivity: np.ndarray
    loyalty: np.ndarray
    curiosity: np.ndarray
    patience: np.ndarray
    aspects: np.ndarray
    locale: np.ndarray
    city: np.ndarray
    age: np.ndarray
    gender: np.ndarray
    occupation: np.ndarray
    joined: np.ndarray
    events: np.ndarray

    def __len__(self) -> int:
        return len(self.style)

    def __getitem__(self, rows: np.ndarray | slice) -> Self:
        """Return some of the shoppers, by indices, a mask or a slice."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Return the shoppers of all parts, in their order."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


@dataclass(frozen=True, eq=False)
class Weather:
    """Condition (int8 code) and temperature (degrees Celsius), each ``(n_cities, DAYS)``."""

    condition: np.ndarray
    temperature: np.ndarray


@dataclass(frozen=True, eq=False)
class CatalogueRules:
    """What holds for all items of an interest or of a creator.

    Attributes:
        related: ``(n_interests, 4)``: the interests from which the second interest of an item is
            drawn; an item for which its own interest is drawn has no second one.
        cell: ``(n_creators,)``: the cell of each creator's items.
        locale: ``(n_creators,)``: the language of each creator's items.
        style: ``(n_creators,)``: the style of about six in ten of a creator's items.
        level: ``(n_creators,)``: the level of about six in ten of a creator's items.
    """

    related: np.ndarray
    cell: np.ndarray
    locale: np.ndarray
    style: np.ndarray
    level: np.ndarray


@dataclass(frozen=True, eq=False)
class World:
    """Parameters of a world, with its items, shoppers and weather."""

    dials: Dials
    items: ItemLatents
    shoppers: Shoppers
    weather: Weather

    @cached_property
    def cells(self) -> np.ndarray:
        """``(n_items,)`` int16: the cell of each item, ``domain * N_INTERESTS + interest``."""
        return (self.items.domain.astype(np.int16) * N_INTERESTS + self.items.interest).astype(
            np.int16
        )


def draw_world(dials: Dials) -> World:
    """Draw a world; items, shoppers and weather use separate random generators."""
    rng = [np.random.default_rng([dials.seed, number]) for number in range(3)]
    weather = draw_weather(rng[2])
    return World(dials, draw_items(dials, rng[0]), draw_shoppers(dials, rng[1]), weather)


def draw_items(dials: Dials, rng: np.random.Generator) -> ItemLatents:
    """Draw the catalogue, in random order."""
    return _draw_catalogue(dials, rng)[0]


def draw_catalogue_rules(dials: Dials) -> CatalogueRules:
    """Draw the rules again by which ``draw_world`` draws the catalogue of these parameters."""
    return _draw_catalogue(dials, np.random.default_rng([dials.seed, 0]))[1]


def _draw_catalogue(dials: Dials, rng: np.random.Generator) -> tuple[ItemLatents, CatalogueRules]:
    n = dials.items
    cell = np.sort(_cells_of_items(n, rng))
    domain, interest = (cell // N_INTERESTS).astype(np.int8), (cell % N_INTERESTS).astype(np.int8)

    # Each cell has a creator per four items, at least one; each has a style, level and locale.
    per_cell = np.maximum(1, np.bincount(cell, minlength=N_CELLS) // 4)
    first = offsets_of(per_cell)
    creator = first[cell] + (rng.random(n) * per_cell[cell]).astype(np.int64)
    n_creators = first[-1]
    creator_locale = (rng.random(n_creators) < dials.chinese).astype(np.int8)
    creator_style = rng.integers(len(words.STYLES), size=n_creators)
    creator_level = rng.integers(len(LEVELS), size=n_creators)
    style = np.where(
        rng.random(n) < 0.5, creator_style[creator], rng.integers(len(words.STYLES), size=n)
    )
    level = np.where(rng.random(n) < 0.4, creator_level[creator], rng.integers(len(LEVELS), size=n))
    locale = creator_locale[creator]

    # Kinds are distributed evenly within a cell, from a random start.
    index = np.arange(n) - np.searchsorted(cell, cell)  # index of each item within its cell
    kind = (index + rng.integers(N_KINDS, size=N_CELLS)[cell]) % N_KINDS

    related = rng.permuted(np.tile(np.arange(N_INTERESTS), (N_INTERESTS, 1)), axis=1)[:, :4]
    second = related[interest, rng.integers(4, size=n)]
    second = np.where((rng.random(n) < SECOND_SHARE) & (second != interest), second, -1)

    released = START - rng.integers(1, 365, size=n) * DAY
    # Three items of every cell are released before the first day; late items are among the others.
    can_be_late = index >= 3
    late = can_be_late & (rng.random(n) * can_be_late.mean() < dials.late)
    released[late] = START + (rng.random(late.sum()) * (DAYS - 20)).astype(np.int64) * DAY
    series, part = _series(creator, domain, rng)
    # Parts of a series have the attributes of the first part, and are released in order.
    parts = np.flatnonzero(series >= 0)
    first_part = parts[part[parts] == 1][series[parts]]
    for column in (style, level, kind, second):
        column[parts] = column[first_part]
    by_date = parts[np.lexsort((released[parts], series[parts]))]
    by_part = parts[np.lexsort((part[parts], series[parts]))]
    released[by_part] = released[by_date]

    price = np.exp(rng.normal(3.0, 0.7, n) + 0.2 * level)
    price = np.where(np.isin(domain, (0, 4)), np.round(price * 2) / 2, np.nan)
    popularity = (1.0 + rng.permutation(n)) ** -dials.zipf
    quality = np.clip(rng.normal(0.15, 0.5, (n, len(words.ASPECTS))), -1, 1)
    order = rng.permutation(n)
    creator_cell = np.repeat(np.arange(N_CELLS), per_cell)
    rules = CatalogueRules(related, creator_cell, creator_locale, creator_style, creator_level)
    items = ItemLatents(
        domain=domain[order],
        interest=interest[order],
        second=second[order].astype(np.int8),
        kind=kind[order].astype(np.int8),
        style=style[order].astype(np.int8),
        level=level[order].astype(np.int8),
        creator=creator[order].astype(np.int16),
        series=series[order].astype(np.int16),
        part=part[order].astype(np.int8),
        locale=locale[order],
        price=price[order].astype(np.float32),
        released=released[order].astype(np.int64),
        quality=quality[order].astype(np.float32),
        popularity=(popularity / popularity.mean())[order].astype(np.float32),
    )
    return items, rules


def _cells_of_items(n: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the cell of each item: up to three in every cell, the others by random weights."""
    weight = np.repeat(DOMAIN_SHARES, N_INTERESTS) * rng.lognormal(0, SPREAD, N_CELLS)
    least = min(3, n // (2 * N_CELLS))
    drawn = rng.choice(N_CELLS, size=n - least * N_CELLS, p=weight / weight.sum())
    return np.concatenate([np.repeat(np.arange(N_CELLS), least), drawn])


def _series(
    creator: np.ndarray, domain: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw series of two to four items of one creator outside the shop: ``(n,)`` series, part."""
    series, part = np.full(len(creator), -1), np.zeros(len(creator), dtype=np.int64)
    number = 0
    for code in np.unique(creator[domain != 0]):
        items = np.flatnonzero(creator == code)
        length = min(len(items), int(rng.integers(2, 5)))
        if length >= 2 and rng.random() < 0.5:
            series[items[:length]], part[items[:length]] = number, np.arange(1, length + 1)
            number += 1
    return series, part


def draw_shoppers(dials: Dials, rng: np.random.Generator, n: int | None = None) -> Shoppers:
    """Draw ``n`` shoppers (``dials.users`` by default)."""
    n = dials.users if n is None else n
    age = rng.choice(len(AGES), size=n, p=[0.24, 0.28, 0.2, 0.15, 0.13])
    generation = tastes_of_ages()
    early = _sparse_taste(generation[age], dials.breadth, rng)
    late = _sparse_taste(generation[age], dials.breadth, rng)
    late = (1 - dials.drift) * early + dials.drift * late
    locale = (rng.random(n) < dials.chinese).astype(np.int8)
    city_locale = np.array([city.locale for city in words.CITIES])
    by_locale = [np.flatnonzero(city_locale == code) for code in range(len(LOCALES))]
    drawn = [cities[rng.integers(len(cities), size=n)] for cities in by_locale]
    city = np.where(locale == 1, drawn[1], drawn[0])
    # New shoppers join in the last month, others in the first 70 % of the days.
    new = rng.random(n) < dials.new_users
    joined = START + rng.random(n) * 0.7 * DAYS * DAY
    joined = np.where(new, END - (2 + 28 * rng.random(n)) * DAY, joined).astype(np.int64)
    events = np.where(new, rng.integers(1, 8, size=n), 8 + 73 * rng.beta(1.2, 1.2, size=n))
    occupation = rng.integers(len(OCCUPATIONS) - 1, size=n)
    occupation = np.where(age == 0, np.where(rng.random(n) < 0.6, 0, occupation), occupation)
    occupation = np.where((age == 4) & (rng.random(n) < 0.5), len(OCCUPATIONS) - 1, occupation)
    return Shoppers(
        early=early.astype(np.float32),
        late=late.astype(np.float32),
        domains=rng.dirichlet(dials.roaming * DOMAIN_SHARES, size=n).astype(np.float32),
        style=rng.integers(len(words.STYLES), size=n).astype(np.int8),
        level=rng.choice(len(LEVELS), size=n, p=LEVEL_SHARES).astype(np.int8),
        price_sensitivity=rng.beta(2, 2, size=n).astype(np.float32),
        loyalty=rng.beta(1.5, 3, size=n).astype(np.float32),
        curiosity=np.clip(dials.curiosity * rng.beta(1.5, 12, size=n), 0, 1).astype(np.float32),
        patience=rng.beta(2, 2, size=n).astype(np.float32),
        aspects=rng.dirichlet(np.full(len(words.ASPECTS), 0.5), size=n).astype(np.float32),
        locale=locale,
        city=city.astype(np.int8),
        age=age.astype(np.int8),
        gender=rng.choice(len(GENDERS), size=n, p=[0.49, 0.48, 0.03]).astype(np.int8),
        occupation=occupation.astype(np.int8),
        joined=joined,
        events=np.minimum(events, 80).astype(np.int16),
    )


def tastes_of_ages() -> np.ndarray:
    """Return the mean odds of interests by age band, ``(n_ages, n_interests)``, of any world."""
    return np.random.default_rng(2022).lognormal(0, 0.6, (len(AGES), N_INTERESTS))


def _sparse_taste(prior: np.ndarray, breadth: float, rng: np.random.Generator) -> np.ndarray:
    """Draw tastes over few interests, at least two, by prior odds: ``(n, n_interests)``."""
    chosen = np.argsort(-(np.log(prior) + rng.gumbel(size=prior.shape)), axis=1)
    count = np.clip(2 + rng.poisson(max(breadth - 2, 0), size=len(prior)), 2, prior.shape[1])
    share = rng.gamma(1.5, size=prior.shape) * (np.arange(prior.shape[1]) < count[:, None])
    taste = np.zeros(prior.shape)
    np.put_along_axis(taste, chosen, share, axis=1)
    return taste / taste.sum(axis=1, keepdims=True)


def draw_weather(rng: np.random.Generator) -> Weather:
    """Draw two years of weather in each city, correlated from day to day."""
    mean, swing, wet_share = (
        np.array([getattr(city, name) for city in words.CITIES])[:, None]
        for name in ("mean", "swing", "wet")
    )
    spells = rng.normal(size=(2, len(CITIES), DAYS))
    for t in range(1, DAYS):  # a first-order autoregression of unit variance
        spells[:, :, t] = 0.7 * spells[:, :, t - 1] + np.sqrt(1 - 0.7**2) * spells[:, :, t]
    yearly = mean - swing * np.cos(2 * np.pi * (np.arange(DAYS) - 20) / 365.25)
    temperature = yearly + 3.0 * spells[0]
    damp = ndtr(spells[1])  # uniform each day
    wet = np.where(temperature < 1.0, "snow", "rain")
    clear = np.where(damp < 0.5 * (1 - wet_share), "sunny", "cloudy")
    dry = np.where(temperature > 25.0, "hot", clear)
    named = np.where(damp > 1 - wet_share, wet, dry)
    condition = np.zeros(named.shape, dtype=np.int8)
    for code, name in enumerate(words.CONDITIONS):
        condition[named == name] = code
    return Weather(condition, np.round(temperature, 1).astype(np.float32))
