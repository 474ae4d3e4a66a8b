"""The writer: turns latents into titles, descriptions, tags, queries, reviews and dialogues.

Each domain has its own title and description grammar (products, articles, videos, tracks and
albums, courses), in English and in Chinese. What is random comes from the seed or generator.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.dialogues import write_dialogues
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES, ItemLatents
from m6rec_lite.data.bazaar.phrases import (
    PHRASES,
    interest_slots,
    manner_slots,
    mend,
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
_TRIES = 30  #: how often a title that exists already is drawn anew


def write_items(latents: ItemLatents, *, seed: int) -> pd.DataFrame:
    """Titles, descriptions, tags, categories and creators of all items.

    An item says its interest in two to three words of the title, and again in description and
    tags; about half of these words serve all domains. Titles differ where words allow it.

    Args:
        latents: ``n`` items.
        seed: of everything random.

    Returns:
        ``n`` rows in the order of the latents: ``title``, ``description``, ``tags`` (list of
        str), ``category`` (the kind, in English whatever the locale) and ``creator``.
    """
    rng = np.random.default_rng([seed, 101])
    series = _series_names(latents, rng)
    columns = (
        latents.domain, latents.interest, latents.second, latents.kind, latents.style,
        latents.level, latents.creator, latents.series, latents.part, latents.locale,
    )  # fmt: skip
    rows, taken = [], set()
    for row in np.stack([np.asarray(column, dtype=np.int64) for column in columns], 1).tolist():
        domain, interest, second, kind, style, level, creator, serial, part, locale = row
        creator_name = words.creator_name(domain, creator)
        for _ in range(_TRIES):
            draws = rng.random(_N_DRAWS)
            slots = _item_slots(domain, interest, second, kind, style, level, locale, draws)
            slots["W"] = creator_name
            name = series.get((serial, locale), "") if part > 0 else ""
            title = _title(DOMAINS[domain], second, locale, part, name, slots, draws[7:10])
            if title not in taken:
                break
        taken.add(title)
        slots |= interest_slots(domain, interest, locale, draws[10:12])
        slots |= manner_slots(style, level, locale, draws[12:15])
        category = words.kinds(domain, interest)[kind]
        rows.append(
            (
                title,
                _description(DOMAINS[domain], second, locale, slots, draws[9]),
                _tags(style, level, second, slots, locale, draws[15]),
                category,
                creator_name,
            )
        )
    return pd.DataFrame(rows, columns=["title", "description", "tags", "category", "creator"])


def _item_slots(
    domain: int,
    interest: int,
    second: int,
    kind: int,
    style: int,
    level: int,
    locale: int,
    draws: np.ndarray,
) -> dict[str, str]:
    slots = interest_slots(domain, interest, locale, draws[:2])
    slots |= manner_slots(style, level, locale, draws[2:5])
    slots["K"] = words.kind_words(domain, interest)[kind][locale]
    if second >= 0:
        slots["M"] = words.INTERESTS[second].label[locale]
        slots["C"] = pick(words.INTERESTS[second].shared, draws[5])[locale]
    return slots


def _series_names(latents: ItemLatents, rng: np.random.Generator) -> dict[tuple[int, int], str]:
    """A name for every series (in every locale), different within a domain where words allow."""
    serial = np.asarray(latents.series)
    lead = np.unique(serial[serial >= 0], return_index=True)[1]
    members = np.flatnonzero(serial >= 0)[lead]
    names: dict[tuple[int, int], str] = {}
    used: set[str] = set()
    for place in members.tolist():
        domain, interest = int(latents.domain[place]), int(latents.interest[place])
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
            names[int(serial[place]), locale] = name
    return names


def _title(
    domain: str,
    second: int,
    locale: int,
    part: int,
    series: str,
    slots: dict[str, str],
    draws: np.ndarray,
) -> str:
    code = LOCALES[locale]
    if series:
        template = PHRASES["part"][code][domain]
        filled = template.format(series=series, n=part, **slots)
    else:
        which = "second" if second >= 0 and draws[0] < 0.5 else "plain"
        filled = pick(PHRASES["titles"][code][domain][which], draws[1]).format_map(slots)
    filled = mend(filled, locale)
    return title_case(filled) if locale == 0 else filled


def _description(domain: str, second: int, locale: int, slots: dict[str, str], draw: float) -> str:
    code = LOCALES[locale]
    text = pick(PHRASES["descriptions"][code][domain], draw)
    if second >= 0:
        options = PHRASES["second"][code]
        extra = pick(options, draw * 97 % 1)
        text += " " + extra if locale == 0 else extra
    return mend(text.format_map(slots), locale)


def _tags(
    style: int, level: int, second: int, slots: dict[str, str], locale: int, draw: float
) -> list[str]:
    """Three words of the interest (its name at times), then kind, style, level, second interest."""
    tags = [slots["N"] if draw < 0.4 else slots["A"], slots["A2"], slots["B3"], slots["K"]]
    tags += [words.STYLE_WORDS[style][0][locale], words.LEVEL_WORDS[level][0][locale]]
    if second >= 0:
        tags.append(slots["C"])
    return tags


def write_queries(
    interest: np.ndarray,
    style: np.ndarray,
    level: np.ndarray,
    domain: np.ndarray,
    locale: np.ndarray,
    rng: np.random.Generator,
) -> list[str]:
    """What shoppers type into the search box: two to six words.

    All names some word of the interest; some name the style, some the level, some the domain.

    Args:
        interest, style, level, domain, locale: ``(n,)`` places, as in ``ItemLatents``.
        rng: source of randomness.

    Returns:
        ``n`` texts, in lower case.
    """
    draws = rng.random((len(interest), 7))
    texts = []
    for row in range(len(interest)):
        where, code = int(domain[row]), int(locale[row])
        table = PHRASES["queries"][LOCALES[code]]
        slots = interest_slots(where, int(interest[row]), code, draws[row])
        slots |= manner_slots(int(style[row]), int(level[row]), code, draws[row, 2:])
        slots["D"] = pick(table["domains"][DOMAINS[where]], draws[row, 5])
        texts.append(mend(pick(table["patterns"], draws[row, 6]).format_map(slots), code).lower())
    return texts
