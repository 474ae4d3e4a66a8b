"""Terse item texts: a seller's title and description, without words of style and level.

In the shipped table every text says the item's style and level. Sellers of real shops often do not,
so that these can only be seen in a picture (``pictures``) or learned from behaviour.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES, ItemLatents
from m6rec_lite.data.bazaar.phrases import PHRASES, fix_grammar, interest_slots, pick, title_case
from m6rec_lite.data.bazaar.tables import items_table
from m6rec_lite.data.bazaar.world import World
from m6rec_lite.data.contracts import validate

TERSE_SHARE = 0.6
_STREAM = 110  #: number of the random generator; see ``world.draw_world``
_TRIES = 30  #: most draws of a title that differs from earlier ones
_MANNERS: frozenset[str] = frozenset(
    word
    for table in (*words.STYLE_WORDS, *words.LEVEL_WORDS, *words.LEVEL_PEOPLE)
    for pair in table
    for word in pair
)


def terse_items(world: World) -> pd.DataFrame:
    """Return the items table with terse texts of 60 % of the items.

    The terse text of an item names its kind and its interests by a few words of the same
    vocabulary. Titles of parts of a series say nothing of style and level, and stay as they are.

    Args:
        world: a world, such as ``dataset.oracle.world``.

    Returns:
        The columns of ``Dataset.items``, with other ``title``, ``description`` and ``tags`` where
        the bool column ``terse`` is true. The items are drawn by a random generator of its own and
        do not depend on anything else in the world.

    Examples:
        ``replace(dataset, items=terse_items(dataset.oracle.world))`` is the data set of
        these texts.
    """
    table, items = items_table(world, text=True), world.items
    rng = np.random.default_rng([world.dials.seed, _STREAM])
    terse = rng.random(len(table)) < TERSE_SHARE
    titles = set(table["title"])
    columns: dict[str, list] = {name: table[name].tolist() for name in ("title", "description")}
    columns["tags"] = [[tag for tag in tags if tag not in _MANNERS] for tags in table["tags"]]
    for item in np.flatnonzero(terse).tolist():
        slots = _slots(items, item, rng.random(3))
        if items.series[item] < 0:
            for draw in rng.random((_TRIES, 3)):
                title = _fill("titles", items, item, _slots(items, item, draw), draw[2])
                if title not in titles:
                    break
            titles.add(title)
            columns["title"][item] = title
        columns["description"][item] = _description(items, item, slots, rng.random(2))
    for name, values in columns.items():
        old = table[name].tolist()
        table[name] = [new if t else kept for t, new, kept in zip(terse, values, old, strict=True)]
    return validate("items", table.assign(terse=terse), source="terse_items")


def _slots(items: ItemLatents, item: int, draws: np.ndarray) -> dict[str, str]:
    """Return the slots of a template that do not tell style and level, from three draws."""
    domain, interest = int(items.domain[item]), int(items.interest[item])
    locale, second = int(items.locale[item]), int(items.second[item])
    slots = interest_slots(domain, interest, locale, draws[:2])
    slots["K"] = words.kind_words(domain, interest)[int(items.kind[item])][locale]
    if second >= 0:
        other = words.INTERESTS[second]
        slots |= {"M": other.label[locale], "C": pick(other.shared, draws[2])[locale]}
    return slots


def _fill(part: str, items: ItemLatents, item: int, slots: dict[str, str], draw: float) -> str:
    """Return a terse title or the first sentence of a terse description."""
    locale, domain = int(items.locale[item]), DOMAINS[int(items.domain[item])]
    forms = PHRASES["terse"][LOCALES[locale]][part]
    text = fix_grammar(pick(forms[domain], draw).format_map(slots), locale)
    return title_case(text) if part == "titles" and locale == 0 else text


def _description(items: ItemLatents, item: int, slots: dict[str, str], draws: np.ndarray) -> str:
    locale = int(items.locale[item])
    text = _fill("descriptions", items, item, slots, draws[0])
    if items.second[item] < 0:
        return text
    second = pick(PHRASES["second"][LOCALES[locale]], draws[1]).format_map(slots)
    return text + (" " if locale == 0 else "") + fix_grammar(second, locale)
