"""The bazaar's vocabulary: interests and their words, kinds, styles, aspects, weather, cities.

The words are data (``words.json``), each in English and Chinese. Each of the 24 interests has words
shared by all five domains ("trail", "ridge") and words that occur in one domain only: occasions in
the shop, topics of posts, scenes of videos, images of music, skills of courses. About half of the
words by which an item names its interest are therefore shared between domains, so that a model of
text can transfer preferences across domains, but only in part.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

import numpy as np

from m6rec_lite.data.bazaar.latents import DOMAINS, LEVELS, LOCALES

#: A word in each language; indexed by the index into ``latents.LOCALES``.
Word = tuple[str, str]


@dataclass(frozen=True)
class Interest:
    """A topic of interest and its vocabulary.

    Attributes:
        name: in English, such as ``hiking``.
        label: its name in every language.
        shared: words used in all domains; singular nouns.
        own: for each domain, words used only there; plural or uncountable nouns.
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
        locale: index into ``LOCALES``.
        mean: mean temperature of the year, degrees Celsius.
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
#: Names of the five styles; ``STYLE_WORDS[style]`` are adjectives for each.
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
#: Aspects of an item that a rating may depend on.
ASPECTS: tuple[str, ...] = tuple(_DATA["aspects"])
#: Names of weather conditions.
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
        angle = 2 * np.pi * (months - entry["season"]["peak"]) / 12
        row = np.exp(entry["season"]["strength"] * np.cos(angle))
        rows.append(row / row.mean())
    return np.stack(rows)


#: ``(24, 12)``: factor of each interest in each month; each row has mean 1.
SEASON: np.ndarray = _season()
#: ``(24, n_conditions)``: factor of each interest in each weather condition.
WEATHER: np.ndarray = np.array(
    [[entry["weather"].get(name, 1.0) for name in CONDITIONS] for entry in _DATA["interests"]]
)


_DOMAIN_KINDS: dict[int, tuple[Word, ...]] = {
    DOMAINS.index(name): _pairs(table) for name, table in _DATA["kinds"].items()
}


def kind_words(domain: int, interest: int) -> tuple[Word, ...]:
    """Return the five kinds of a domain and interest; kind k + 1 complements kind k, 0 the last.

    The shop's kinds depend on the interest (boot, pole, rucksack ...); those of other domains do
    not.
    """
    return _DOMAIN_KINDS[domain] if domain in _DOMAIN_KINDS else INTERESTS[interest].products


def kinds(domain: int, interest: int) -> tuple[str, ...]:
    """Return the five kinds in English, which are the categories of items."""
    return tuple(english for english, _ in kind_words(domain, interest))


def creator_name(domain: int, creator: int) -> str:
    """Return the name of a brand, author, channel, band or school.

    Names of creators 0 to 287 of a domain differ; later ones are repeated with a number appended.
    """
    first, second = _DATA["creators"][DOMAINS[domain]]
    n = len(first) * len(second)
    cycle, index = divmod(int(creator), n)
    index = index * 131 % n  # 131 is coprime to n: consecutive creators get unlike names
    name = f"{first[index % len(first)]} {second[index // len(first)]}"
    return f"{name} {cycle + 1}" if cycle else name
