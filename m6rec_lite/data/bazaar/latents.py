"""What is true of the bazaar's items and shoppers but not written in its tables.

The simulator (``world``, ``simulate``) draws these; the writer (``text``) turns them into words;
the oracle reads them. All arrays are indexed by the item's or shopper's place, not by its id.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DOMAINS: tuple[str, ...] = ("shop", "posts", "videos", "music", "courses")
LEVELS: tuple[str, ...] = ("beginner", "intermediate", "expert")
LOCALES: tuple[str, ...] = ("en", "zh")


@dataclass(frozen=True, eq=False)
class ItemLatents:
    """The hidden truth about ``n`` items.

    Attributes:
        domain: ``(n,)`` int8, place in ``DOMAINS``.
        interest: ``(n,)`` int8, place in ``words.INTERESTS``: what the item is about.
        second: ``(n,)`` int8, a second interest that the text also names, or -1.
        kind: ``(n,)`` int8, place in the kinds of its domain and interest
            (``words.kinds(domain, interest)``): boots, poles, tent … Complements are pairs of kinds.
        style: ``(n,)`` int8, place in ``words.STYLES``.
        level: ``(n,)`` int8, place in ``LEVELS``.
        creator: ``(n,)`` int16, a brand, author, channel, artist or school; creators belong to one domain.
        series: ``(n,)`` int16, -1 where the item stands alone.
        part: ``(n,)`` int8, 1, 2, 3 … within the series, 0 where it stands alone.
        locale: ``(n,)`` int8, place in ``LOCALES``: the language of the text.
        price: ``(n,)`` float32; NaN where the domain has no prices.
        released: ``(n,)`` int64 unix seconds.
        quality: ``(n, n_aspects)`` float32 in [-1, 1]: how good the item is in each of ``words.ASPECTS``.
        popularity: ``(n,)`` float32, the Zipf-like weight with which it is met at equal relevance.
    """  # noqa: E501

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
