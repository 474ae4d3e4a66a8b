"""Reviews whose words state the aspect that moved the rating, and how to read it back.

Each aspect has nouns of its own in each domain (quality is workmanship in the shop and research in
an article) and phrases of its own for each sentiment, so the stated aspect can be recovered from
the text: ``aspect_of`` is the gold check for explanations.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES, ItemLatents
from m6rec_lite.data.bazaar.phrases import PHRASES, interest_slots, mend, pick


def write_reviews(
    latents: ItemLatents,
    item: np.ndarray,
    rating: np.ndarray,
    aspect: np.ndarray,
    sentiment: np.ndarray,
    locale: np.ndarray,
    rng: np.random.Generator,
) -> list[str]:
    """One or two sentences a review: a remark in the tone of the rating, and the reason for it.

    Args:
        latents: of the items.
        item: ``(n,)`` places in ``latents``.
        rating: ``(n,)``, 1 to 5.
        aspect: ``(n,)`` places in ``words.ASPECTS``: what moved the rating.
        sentiment: ``(n,)`` -1, 0 or 1: which way.
        locale: ``(n,)`` places in ``LOCALES``: the reviewer's language.
        rng: source of randomness.

    Returns:
        ``n`` texts; ``aspect_of`` reads the aspect of each.
    """
    draws = rng.random((len(item), 7))
    rows = zip(
        *(np.asarray(column).tolist() for column in (item, rating, aspect, sentiment, locale)),
        strict=True,
    )
    texts = []
    for row, (place, stars, turned_on, way, code) in enumerate(rows):
        domain, interest = int(latents.domain[place]), int(latents.interest[place])
        name, table = DOMAINS[domain], PHRASES["reviews"][LOCALES[code]]
        tone = 1 if stars >= 4 else -1 if stars <= 2 else 0
        slots = interest_slots(domain, interest, code, draws[row])
        slots["K"] = words.kind_words(domain, interest)[int(latents.kind[place])][code]
        slots |= {"did": table["did"][name], "this": table["this"][name]}
        remark = pick(table["fillers"][("fair", "good", "poor")[tone]], draws[row, 2])
        noun = pick(table["nouns"][words.ASPECTS[turned_on]][name], draws[row, 3])
        reason = pick(table["phrases"][words.ASPECTS[turned_on]][str(way)], draws[row, 4])
        join = pick(table["differ" if tone * way < 0 else "agree"], draws[row, 5])
        filled = join.format(F=remark.format_map(slots), p=reason.format(n=noun))
        texts.append(mend(filled, code))
    return texts


def explain_words(aspect: int, locale: int) -> tuple[str, ...]:
    """The words by which a text of this locale is known to speak of an aspect.

    Args:
        aspect: place in ``words.ASPECTS``.
        locale: place in ``LOCALES``.

    Returns:
        the aspect's nouns in all domains, and its own turns of phrase; lower case, no repeats.
    """
    name, code = words.ASPECTS[aspect], LOCALES[locale]
    nouns = PHRASES["reviews"][code]["nouns"][name].values()
    return tuple(
        dict.fromkeys([*(noun for some in nouns for noun in some),
                       *PHRASES["aspect_words"][code][name]])
    )  # fmt: skip


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """For each aspect, one pattern of its words in all languages."""
    patterns = []
    for aspect in range(len(words.ASPECTS)):
        english = "|".join(re.escape(word) for word in explain_words(aspect, 0))
        chinese = "|".join(re.escape(word) for word in explain_words(aspect, 1))
        patterns.append(re.compile(rf"\b(?:{english})\b|{chinese}"))
    return tuple(patterns)


def aspect_of(text: str) -> int:
    """The aspect that a text gives as its reason.

    Args:
        text: a review or explanation, English or Chinese.

    Returns:
        the place in ``words.ASPECTS`` of the aspect with most of its ``explain_words`` in the
        text; -1 where there is none, or two aspects tie.
    """
    hits = [len(set(pattern.findall(text.lower()))) for pattern in _patterns()]
    best = int(np.argmax(hits))
    return best if hits[best] > 0 and hits.count(hits[best]) == 1 else -1
