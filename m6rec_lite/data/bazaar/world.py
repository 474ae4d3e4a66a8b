"""Who shops in the bazaar and what is on offer: items, shoppers and weather, drawn from one seed.

A *cell* is a domain and an interest together (videos about jazz). Items of a cell share kinds,
creators and series; shoppers want a cell. Domains meet only in the words of an interest.
"""

from __future__ import annotations

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
SPREAD = 1.4  #: of the logarithm of the cells' sizes
TWOFOLD = 0.6  #: share of items that also name a second interest

CITIES = tuple(city.name for city in words.CITIES)
AGES = ("18-24", "25-34", "35-44", "45-54", "55+")
GENDERS = ("woman", "man", "other")
OCCUPATIONS = (
    "student", "teacher", "engineer", "nurse", "artist", "manager", "driver", "cook", "retired",
)  # fmt: skip
DOMAIN_SHARES = np.array([0.28, 0.20, 0.20, 0.17, 0.15])


@dataclass(frozen=True, eq=False)
class Shoppers:
    """The hidden truth about ``n`` shoppers; the place of a shopper is ``user_id - 1``.

    Attributes:
        early: ``(n, n_interests)`` float32, rows sum to 1: the sparse taste on joining.
        late: ``(n, n_interests)`` float32: the taste at the end of the calendar.
        domains: ``(n, 5)`` float32, rows sum to 1.
        style: ``(n,)`` int8, place in ``words.STYLES``.
        level: ``(n,)`` int8, place in ``LEVELS``.
        price_sensitivity: ``(n,)`` float32 in [0, 1].
        loyalty: ``(n,)`` float32 in [0, 1], to creators.
        curiosity: ``(n,)`` float32, share of intents drawn from all interests.
        patience: ``(n,)`` float32 in [0, 1]: long sessions, series followed to the end.
        aspects: ``(n, n_aspects)`` float32, rows sum to 1: what moves the shopper's ratings.
        locale: ``(n,)`` int8, place in ``LOCALES``.
        city: ``(n,)`` int8, place in ``CITIES``.
        age: ``(n,)`` int8, place in ``AGES``.
        gender: ``(n,)`` int8, place in ``GENDERS``.
        occupation: ``(n,)`` int8, place in ``OCCUPATIONS``.
        joined: ``(n,)`` int64 unix seconds.
        events: ``(n,)`` int16, how many organic events the shopper makes.
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
        """Some of the shoppers."""
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True, eq=False)
class Weather:
    """What the sky did: ``(n_cities, DAYS)`` tables of conditions (int8) and temperatures."""

    condition: np.ndarray
    temperature: np.ndarray


@dataclass(frozen=True, eq=False)
class World:
    """Dials, and what they gave: items, shoppers, weather."""

    dials: Dials
    items: ItemLatents
    shoppers: Shoppers
    weather: Weather

    @cached_property
    def cells(self) -> np.ndarray:
        """``(n_items,)`` int16: domain times the number of interests, plus interest."""
        return (self.items.domain.astype(np.int16) * N_INTERESTS + self.items.interest).astype(
            np.int16
        )


def draw_world(dials: Dials) -> World:
    """The world of these dials. Items, shoppers and weather have seeds of their own."""
    rng = [np.random.default_rng([dials.seed, stream]) for stream in range(3)]
    weather = draw_weather(rng[2])
    return World(dials, draw_items(dials, rng[0]), draw_shoppers(dials, rng[1]), weather)


def draw_items(dials: Dials, rng: np.random.Generator) -> ItemLatents:
    """Draw the catalogue, in an order that says nothing."""
    n = dials.items
    cell = np.sort(_cells_of_items(n, rng))
    domain, interest = (cell // N_INTERESTS).astype(np.int8), (cell % N_INTERESTS).astype(np.int8)

    # Creators: about two a cell, each with a style, a level and a locale of their own.
    per_cell = np.maximum(1, np.bincount(cell, minlength=N_CELLS) // 4)
    first = offsets_of(per_cell)
    creator = first[cell] + (rng.random(n) * per_cell[cell]).astype(np.int64)
    n_creators = first[-1]
    locale = (rng.random(n_creators) < dials.chinese)[creator].astype(np.int8)
    own_style = rng.integers(len(words.STYLES), size=n_creators)[creator]
    own_level = rng.integers(len(LEVELS), size=n_creators)[creator]
    style = np.where(rng.random(n) < 0.5, own_style, rng.integers(len(words.STYLES), size=n))
    level = np.where(rng.random(n) < 0.4, own_level, rng.integers(len(LEVELS), size=n))

    # Kinds are spread evenly within a cell, from a random start.
    place = np.arange(n) - np.searchsorted(cell, cell)
    kind = (place + rng.integers(N_KINDS, size=N_CELLS)[cell]) % N_KINDS

    near = rng.permuted(np.tile(np.arange(N_INTERESTS), (N_INTERESTS, 1)), axis=1)[:, :4]
    second = near[interest, rng.integers(4, size=n)]
    second = np.where((rng.random(n) < TWOFOLD) & (second != interest), second, -1)

    released = START - rng.integers(1, 365, size=n) * DAY
    # Every cell has three items to offer from the first day; the others make up the late share.
    spare = place >= 3
    late = spare & (rng.random(n) * spare.mean() < dials.late)
    released[late] = START + (rng.random(late.sum()) * (DAYS - 20)).astype(np.int64) * DAY
    series, part = _series(creator, domain, rng)
    told = np.flatnonzero(series >= 0)  # parts are alike, and appear in order
    lead = told[part[told] == 1][series[told]]
    for column in (style, level, kind, second):
        column[told] = column[lead]
    by_date = told[np.lexsort((released[told], series[told]))]
    in_order = told[np.lexsort((part[told], series[told]))]
    released[in_order] = released[by_date]

    price = np.exp(rng.normal(3.0, 0.7, n) + 0.2 * level)
    price = np.where(np.isin(domain, (0, 4)), np.round(price * 2) / 2, np.nan)
    popularity = (1.0 + rng.permutation(n)) ** -dials.zipf
    quality = np.clip(rng.normal(0.15, 0.5, (n, len(words.ASPECTS))), -1, 1)
    order = rng.permutation(n)
    return ItemLatents(
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


def _cells_of_items(n: int, rng: np.random.Generator) -> np.ndarray:
    """The cell of each item: three in every cell where that many fit, the rest at random."""
    weight = np.repeat(DOMAIN_SHARES, N_INTERESTS) * rng.lognormal(0, SPREAD, N_CELLS)
    floor = min(3, n // (2 * N_CELLS))
    rest = n - floor * N_CELLS
    drawn = rng.choice(N_CELLS, size=rest, p=weight / weight.sum())
    return np.concatenate([np.repeat(np.arange(N_CELLS), floor), drawn])


def _series(
    creator: np.ndarray, domain: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two to four works of one creator outside the shop become parts of a series, now and then."""
    series, part = np.full(len(creator), -1), np.zeros(len(creator), dtype=np.int64)
    number = 0
    for one in np.unique(creator[domain != 0]):
        works = np.flatnonzero(creator == one)
        length = min(len(works), int(rng.integers(2, 5)))
        if length >= 2 and rng.random() < 0.5:
            series[works[:length]], part[works[:length]] = number, np.arange(1, length + 1)
            number += 1
    return series, part


def draw_shoppers(dials: Dials, rng: np.random.Generator, n: int | None = None) -> Shoppers:
    """Draw ``n`` shoppers (``dials.users`` by default)."""
    n = dials.users if n is None else n
    age = rng.choice(len(AGES), size=n, p=[0.24, 0.28, 0.2, 0.15, 0.13])
    # The same generations everywhere: fixed by the number of interests, not by the seed.
    generation = np.random.default_rng(2022).lognormal(0, 0.6, (len(AGES), N_INTERESTS))
    early = _sparse_taste(generation[age], dials.breadth, rng)
    late = _sparse_taste(generation[age], dials.breadth, rng)
    late = (1 - dials.drift) * early + dials.drift * late
    locale = (rng.random(n) < dials.chinese).astype(np.int8)
    speaks = np.array([city.locale for city in words.CITIES])
    home = [np.flatnonzero(speaks == one) for one in range(len(LOCALES))]
    at_home = [cities[rng.integers(len(cities), size=n)] for cities in home]
    city = np.where(locale == 1, at_home[1], at_home[0])
    # A new shopper joins in the last month; others spread their events over what is left.
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
        level=rng.choice(len(LEVELS), size=n, p=[0.4, 0.35, 0.25]).astype(np.int8),
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


def _sparse_taste(prior: np.ndarray, breadth: float, rng: np.random.Generator) -> np.ndarray:
    """``(n, n_interests)``: a few interests a shopper, at least two, drawn from the prior odds."""
    chosen = np.argsort(-(np.log(prior) + rng.gumbel(size=prior.shape)), axis=1)
    count = np.clip(2 + rng.poisson(max(breadth - 2, 0), size=len(prior)), 2, prior.shape[1])
    share = rng.gamma(1.5, size=prior.shape) * (np.arange(prior.shape[1]) < count[:, None])
    taste = np.zeros(prior.shape)
    np.put_along_axis(taste, chosen, share, axis=1)
    return taste / taste.sum(axis=1, keepdims=True)


def draw_weather(rng: np.random.Generator) -> Weather:
    """Two years of weather in each city, in spells of a few days."""
    mean, swing, wet_share = (
        np.array([getattr(city, name) for city in words.CITIES])[:, None]
        for name in ("mean", "swing", "wet")
    )
    spells = rng.normal(size=(2, len(CITIES), DAYS))
    for t in range(1, DAYS):  # standard normal each day, and like the day before
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
