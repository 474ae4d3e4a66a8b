"""Generation of text from latents: titles, descriptions, tags, queries, reviews and dialogues.

Each domain has its own templates of titles and descriptions (products, articles, videos, tracks and
albums, courses), in English and in Chinese.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from string import Formatter
from typing import NamedTuple

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.dialogues import write_dialogues
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES, ItemLatents
from m6rec_lite.data.bazaar.phrases import (
    PHRASES,
    fix_grammar,
    interest_slots,
    manner_slots,
    pick,
    title_case,
)
from m6rec_lite.data.bazaar.reviews import aspect_of, explain_words, write_reviews

__all__ = [
    "aspect_of",
    "explain_words",
    "write_dialogues",
    "write_items",
    "write_queries",
    "write_reviews",
]

_N_DRAWS = 16
_TRIES = 30  #: most draws of a title that differs from earlier ones


class _Item(NamedTuple):
    """The attributes of one item that its text depends on."""

    domain: int
    interest: int
    second: int
    kind: int
    style: int
    level: int
    creator: int
    series: int
    part: int
    locale: int


def write_items(latents: ItemLatents, *, seed: int) -> pd.DataFrame:
    """Write titles, descriptions, tags, categories and creators of all items.

    Two to three words of the title name the item's interest, and others in description and tags;
    about half of these words are shared by all domains. Titles are unique where the vocabulary
    allows it.

    Args:
        latents: hidden attributes of ``n`` items.
        seed: seed of the random draws, not negative.

    Returns:
        ``n`` rows in the order of the latents: ``title``, ``description``, ``tags`` (list of
        str), ``category`` (the kind, always in English) and ``creator``.
    """
    rng = np.random.default_rng([seed, 101])
    names = _series_names(latents, rng)
    columns = [np.asarray(getattr(latents, name), dtype=np.int64) for name in _Item._fields]
    rows: list[tuple[str, str, list[str], str, str]] = []
    titles: set[str] = set()
    for item in map(_Item._make, np.stack(columns, axis=1).tolist()):
        kind = words.kind_words(item.domain, item.interest)[item.kind]
        creator = words.creator_name(item.domain, item.creator)
        slots = {"W": creator, "K": kind[item.locale]}
        for _ in range(_TRIES):
            draws = rng.random(_N_DRAWS)
            slots |= _drawn_slots(item, draws)
            title = _title(item, names.get((item.series, item.locale), ""), slots, draws[6:])
            if title not in titles:
                break
        titles.add(title)
        slots |= _drawn_slots(item, [*draws[8:13], draws[5]])  # new words for the description
        description = _description(item, slots, draws[13:])
        rows.append((title, description, _tags(item, slots, draws[15]), kind[0], creator))
    return pd.DataFrame(rows, columns=["title", "description", "tags", "category", "creator"])


def _drawn_slots(item: _Item, draws: np.ndarray | Sequence[float]) -> dict[str, str]:
    """Return the slots of both interests, the style and the level, from six draws."""
    slots = interest_slots(item.domain, item.interest, item.locale, draws[:2])
    slots |= manner_slots(item.style, item.level, item.locale, draws[2:5])
    if item.second >= 0:
        other = words.INTERESTS[item.second]
        slots |= {"M": other.label[item.locale], "C": pick(other.shared, draws[5])[item.locale]}
    return slots


def _series_names(latents: ItemLatents, rng: np.random.Generator) -> dict[tuple[int, int], str]:
    """Return a name for each series and locale, unique where the vocabulary allows it."""
    series = np.asarray(latents.series)
    first = np.unique(series[series >= 0], return_index=True)[1]
    members = np.flatnonzero(series >= 0)[first]
    names: dict[tuple[int, int], str] = {}
    used: set[str] = set()
    for item in members.tolist():
        domain, interest = int(latents.domain[item]), int(latents.interest[item])
        for draws in rng.random((_TRIES, 2)):
            shared = pick(words.INTERESTS[interest].shared, draws[0])
            options = [
                pick(PHRASES["series"][code][DOMAINS[domain]], draws[1]).format(A=shared[locale])
                for locale, code in enumerate(LOCALES)
            ]
            if options[0] not in used:
                break
        used.add(options[0])
        for locale, name in enumerate(options):
            names[int(series[item]), locale] = name
    return names


def _title(item: _Item, series: str, slots: dict[str, str], draws: np.ndarray) -> str:
    code, domain = LOCALES[item.locale], DOMAINS[item.domain]
    if series:
        title = PHRASES["part"][code][domain].format(series=series, n=item.part, **slots)
    else:
        form = "second" if item.second >= 0 and draws[0] < 0.5 else "plain"
        title = pick(PHRASES["titles"][code][domain][form], draws[1]).format_map(slots)
    title = fix_grammar(title, item.locale)
    return title_case(title) if item.locale == 0 else title


def _description(item: _Item, slots: dict[str, str], draws: np.ndarray) -> str:
    code = LOCALES[item.locale]
    text = pick(PHRASES["descriptions"][code][DOMAINS[item.domain]], draws[0])
    if item.second >= 0:
        text += (" " if item.locale == 0 else "") + pick(PHRASES["second"][code], draws[1])
    return fix_grammar(text.format_map(slots), item.locale)


def _tags(item: _Item, slots: dict[str, str], draw: float) -> list[str]:
    """Return tags: two words shared by all domains (or the name), then one of this domain."""
    tags = [slots["N"] if draw < 0.4 else slots["A"], slots["A2"], slots["B3"], slots["K"]]
    tags.append(words.STYLE_WORDS[item.style][0][item.locale])
    tags.append(words.LEVEL_WORDS[item.level][0][item.locale])
    return [*tags, slots["C"]] if item.second >= 0 else tags


@cache
def _slots_of(template: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(template) if name)


def write_queries(
    interest: np.ndarray,
    style: np.ndarray,
    level: np.ndarray,
    domain: np.ndarray,
    locale: np.ndarray,
    rng: np.random.Generator,
) -> list[str]:
    """Write search queries of two to seven words.

    Every query has a word of the interest; some also name the style, the level or the domain.

    Args:
        interest, style, level, domain, locale: ``(n,)`` codes, as in ``ItemLatents``; -1 for a
            style or level that the query must not name.
        rng: source of randomness.

    Returns:
        ``n`` texts in lower case.
    """
    draws = rng.random((len(interest), 7))
    texts = []
    for row in range(len(interest)):
        domain_code, code = int(domain[row]), int(locale[row])
        table = PHRASES["queries"][LOCALES[code]]
        slots = interest_slots(domain_code, int(interest[row]), code, draws[row])
        slots |= manner_slots(int(style[row]), int(level[row]), code, draws[row, 2:])
        slots["D"] = pick(table["domains"][DOMAINS[domain_code]], draws[row, 5])
        patterns = [pattern for pattern in table["patterns"] if _slots_of(pattern) <= slots.keys()]
        query = pick(patterns, draws[row, 6]).format_map(slots)
        texts.append(fix_grammar(query, code).lower())
    return texts
