"""Hidden attributes of the bazaar's items.

``world`` draws them, ``text`` turns them into words, and the simulator and the oracle compute
probabilities from them. Arrays are indexed by the item's index, not by its id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DOMAINS: tuple[str, ...] = ("shop", "posts", "videos", "music", "courses")
LEVELS: tuple[str, ...] = ("beginner", "intermediate", "expert")
LOCALES: tuple[str, ...] = ("en", "zh")


@dataclass(frozen=True, eq=False)
class ItemLatents:
    """Hidden attributes of ``n`` items; an item's index is its id minus ``oracle.FIRST_ITEM``.

    Attributes:
        domain: ``(n,)`` int8, index into ``DOMAINS``.
        interest: ``(n,)`` int8, index into ``words.INTERESTS``: the item's subject.
        second: ``(n,)`` int8, a second interest that the text also mentions, or -1.
        kind: ``(n,)`` int8, index into ``words.kinds(domain, interest)``: boots, poles, tent …
            Kind ``k + 1`` complements kind ``k``.
        style: ``(n,)`` int8, index into ``words.STYLES``.
        level: ``(n,)`` int8, index into ``LEVELS``.
        creator: ``(n,)`` int16, a brand, author, channel, band or school of one domain.
        series: ``(n,)`` int16, -1 where the item belongs to none.
        part: ``(n,)`` int8, 1, 2, 3 … within the series, 0 without a series.
        locale: ``(n,)`` int8, index into ``LOCALES``: the language of the text.
        price: ``(n,)`` float32; NaN where the domain has no prices.
        released: ``(n,)`` int64 unix seconds.
        quality: ``(n, n_aspects)`` float32 in [-1, 1]: quality in each of ``words.ASPECTS``.
        popularity: ``(n,)`` float32, Zipf-like odds of the item at equal relevance.
    """

    domain: np.ndarray
    interest: np.ndarray
    second: np.ndarray
    kind: np.ndarray
    style: np.ndarray
    level: np.ndarray
    creator: np.ndarray
    series: np.ndarray
    part: np.ndarray
    locale: np.ndarray
    price: np.ndarray
    released: np.ndarray
    quality: np.ndarray
    popularity: np.ndarray
