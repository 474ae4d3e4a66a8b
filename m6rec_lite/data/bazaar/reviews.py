"""Reviews that name the aspect behind the rating, and the recovery of that aspect from text.

Each aspect has its own nouns in each domain (quality is workmanship in the shop and research in an
article) and its own phrases for each sentiment, so ``aspect_of`` can recover the aspect that a
review or an explanation names.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES, ItemLatents
from m6rec_lite.data.bazaar.phrases import PHRASES, fix_grammar, interest_slots, pick


def write_reviews(
    latents: ItemLatents,
    item: np.ndarray,
    rating: np.ndarray,
    aspect: np.ndarray,
    sentiment: np.ndarray,
    locale: np.ndarray,
    rng: np.random.Generator,
) -> list[str]:
    """Write reviews of one or two sentences: a remark in the tone of the rating, and the reason.

    Args:
        latents: hidden attributes of the items.
        item: ``(n,)`` indices into ``latents``.
        rating: ``(n,)``, 1 to 5.
        aspect: ``(n,)`` indices into ``words.ASPECTS``: the aspect with the most effect.
        sentiment: ``(n,)`` -1, 0 or 1: the sign of that effect.
        locale: ``(n,)`` indices into ``LOCALES``: the reviewer's language.
        rng: source of randomness.

    Returns:
        ``n`` texts; ``aspect_of`` recovers the aspect of each.
    """
    draws = rng.random((len(item), 7))
    rows = zip(
        *(np.asarray(column).tolist() for column in (item, rating, aspect, sentiment, locale)),
        strict=True,
    )
    texts = []
    for row, (index, stars, cause, sign, code) in enumerate(rows):
        domain, interest = int(latents.domain[index]), int(latents.interest[index])
        name, table = DOMAINS[domain], PHRASES["reviews"][LOCALES[code]]
        tone = 1 if stars >= 4 else -1 if stars <= 2 else 0
        slots = interest_slots(domain, interest, code, draws[row])
        slots["K"] = words.kind_words(domain, interest)[int(latents.kind[index])][code]
        slots |= {"did": table["did"][name], "this": table["this"][name]}
        remark = pick(table["fillers"][("fair", "good", "poor")[tone]], draws[row, 2])
        noun = pick(table["nouns"][words.ASPECTS[cause]][name], draws[row, 3])
        reason = pick(table["phrases"][words.ASPECTS[cause]][str(sign)], draws[row, 4])
        join = pick(table["differ" if tone * sign < 0 else "agree"], draws[row, 5])
        filled = join.format(F=remark.format_map(slots), p=reason.format(n=noun))
        texts.append(fix_grammar(filled, code))
    return texts


def explain_words(aspect: int, locale: int) -> tuple[str, ...]:
    """Return the words that indicate an aspect in a text.

    Args:
        aspect: index into ``words.ASPECTS``.
        locale: index into ``LOCALES``.

    Returns:
        The aspect's nouns in all domains and its own phrases; lower case, no repeats.
    """
    name, code = words.ASPECTS[aspect], LOCALES[locale]
    nouns = PHRASES["reviews"][code]["nouns"][name].values()
    return tuple(
        dict.fromkeys([*(noun for of_domain in nouns for noun in of_domain),
                       *PHRASES["aspect_words"][code][name]])
    )  # fmt: skip


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Return one pattern per aspect that matches its words in all languages."""
    patterns = []
    for aspect in range(len(words.ASPECTS)):
        english = "|".join(re.escape(word) for word in explain_words(aspect, 0))
        chinese = "|".join(re.escape(word) for word in explain_words(aspect, 1))
        patterns.append(re.compile(rf"\b(?:{english})\b|{chinese}"))
    return tuple(patterns)


def aspect_of(text: str) -> int:
    """Return the aspect that a text names as its reason.

    Args:
        text: a review or explanation, English or Chinese.

    Returns:
        The index into ``words.ASPECTS`` of the aspect with most of its ``explain_words`` in the
        text; -1 where there is none, or two aspects tie.
    """
    hits = [len(set(pattern.findall(text.lower()))) for pattern in _patterns()]
    best = int(np.argmax(hits))
    return best if hits[best] > 0 and hits.count(hits[best]) == 1 else -1
