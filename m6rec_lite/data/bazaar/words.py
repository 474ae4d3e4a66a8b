"""The bazaar's vocabulary: interests and their words, kinds, styles, aspects, weather, cities.

The words are data (``words.json``), each in English and Chinese. Each of the 24 interests has words
that serve all five domains ("trail", "ridge") and, for each domain, words of its own: occasions in
the shop, topics of posts, sights of videos, images of music, skills of courses. About half of
what an item says of its interest is therefore shared with the other domains, so that taste can
cross domains through text, and only in part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np

from m6rec_lite.data.bazaar.latents import DOMAINS, LEVELS, LOCALES

#: A word in every language: ``word[locale]`` with a place in ``latents.LOCALES``.
Word = tuple[str, str]


@dataclass(frozen=True)
class Interest:
    """What people care about, and the words for it.

    Attributes:
        name: in English, such as ``hiking``.
        label: its name in every language.
        shared: words that serve all domains; singular nouns.
        own: for each domain, the words that occur there alone; plural or uncountable nouns.
        products: the five kinds of product the shop sells, each a complement of the one before.
    """

    name: str
    label: Word
    shared: tuple[Word, ...]
    own: tuple[tuple[Word, ...], ...]
    products: tuple[Word, ...]


@dataclass(frozen=True)
class City:
    """A city, the language spoken there, and its climate.

    Attributes:
        name: in English.
        label: its name in every language.
        locale: place in ``LOCALES``.
        mean: temperature of the year, degrees Celsius.
        swing: half the difference between summer and winter, degrees Celsius.
        wet: share of days with rain or snow.
    """

    name: str
    label: Word
    locale: int
    mean: float
    swing: float
    wet: float


def _pairs(table: dict[str, str]) -> tuple[Word, ...]:
    return tuple(table.items())


_DATA = json.loads(
    resources.files("m6rec_lite.data.bazaar").joinpath("words.json").read_text(encoding="utf-8")
)

INTERESTS: tuple[Interest, ...] = tuple(
    Interest(
        name=entry["name"],
        label=(entry["name"], entry["zh"]),
        shared=_pairs(entry["shared"]),
        own=tuple(_pairs(entry[domain]) for domain in DOMAINS),
        products=_pairs(entry["kinds"]),
    )
    for entry in _DATA["interests"]
)
#: Names of the five styles; ``STYLE_WORDS[style]`` are the adjectives that say it.
STYLES: tuple[str, ...] = tuple(_DATA["styles"])
STYLE_WORDS: tuple[tuple[Word, ...], ...] = tuple(
    tuple((en, zh) for en, zh in entry) for entry in _DATA["styles"].values()
)
#: ``LEVEL_WORDS[level]``: adjectives; ``LEVEL_PEOPLE[level]``: the people of that level.
LEVEL_WORDS: tuple[tuple[Word, ...], ...] = tuple(
    tuple((en, zh) for en, zh in _DATA["levels"][level]["adjective"]) for level in LEVELS
)
LEVEL_PEOPLE: tuple[tuple[Word, ...], ...] = tuple(
    tuple((en, zh) for en, zh in _DATA["levels"][level]["people"]) for level in LEVELS
)
#: What a rating may turn on.
ASPECTS: tuple[str, ...] = tuple(_DATA["aspects"])
#: Names of the weather.
CONDITIONS: tuple[str, ...] = tuple(_DATA["conditions"])
CITIES: tuple[City, ...] = tuple(
    City(
        name=entry["name"],
        label=(entry["name"], entry["zh"]),
        locale=LOCALES.index(entry["locale"]),
        **{key: entry[key] for key in ("mean", "swing", "wet")},
    )
    for entry in _DATA["cities"]
)


def _season() -> np.ndarray:
    months = np.arange(1, 13)
    rows = []
    for entry in _DATA["interests"]:
        turn = 2 * np.pi * (months - entry["season"]["peak"]) / 12
        row = np.exp(entry["season"]["strength"] * np.cos(turn))
        rows.append(row / row.mean())
    return np.stack(rows)


#: ``(24, 12)``: how much more (or less) an interest is met in each month; each row's mean is 1.
SEASON: np.ndarray = _season()
#: ``(24, n_conditions)``: the same for the weather of the day.
WEATHER: np.ndarray = np.array(
    [[entry["weather"].get(name, 1.0) for name in CONDITIONS] for entry in _DATA["interests"]]
)


_DOMAIN_KINDS: dict[int, tuple[Word, ...]] = {
    DOMAINS.index(name): _pairs(table) for name, table in _DATA["kinds"].items()
}


def kind_words(domain: int, interest: int) -> tuple[Word, ...]:
    """The five kinds of a domain and interest, in every language; kind k + 1 follows kind k.

    The shop's kinds differ by interest (boot, pole, rucksack ...); the other domains' do not.
    """
    return _DOMAIN_KINDS[domain] if domain in _DOMAIN_KINDS else INTERESTS[interest].products


def kinds(domain: int, interest: int) -> tuple[str, ...]:
    """The five kinds in English: the names of the categories. After the last comes the first."""
    return tuple(english for english, _ in kind_words(domain, interest))


def creator_name(domain: int, creator: int) -> str:
    """The name of a brand, author, channel, band or school; the same number, the same name.

    Names differ for creators 0 to 287 of a domain; later ones repeat with a number.
    """
    first, second = _DATA["creators"][DOMAINS[domain]]
    n = len(first) * len(second)
    lap, place = divmod(int(creator), n)
    place = place * 131 % n  # 131 is coprime to n, so that neighbours do not share a name
    name = f"{first[place % len(first)]} {second[place // len(first)]}"
    return f"{name} {lap + 1}" if lap else name
