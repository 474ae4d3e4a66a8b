"""Ground truth of the bazaar, to evaluate generated text against.

Whether a stated reason is *true* cannot be decided from user data: it does not say how good the
workmanship of a boot is. The simulator does. It draws the quality q of each item in each aspect,
from -1 to 1, and the weight c of each aspect for each shopper (adding up to 1); a review names the
aspect with the largest ``|c q|`` (``data.bazaar.talk``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError, Dataset
from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.data.bazaar.phrases import PHRASES
from m6rec_lite.data.ids import Id, is_id

#: An aspect with ``|c q|`` below this is neither good nor bad to a shopper (as in ``talk``).
NEUTRAL = 0.1
#: Minimum share of a shopper's taste for an interest to count; a uniform share would be 1 / 24.
TASTE = 0.1


@dataclass(frozen=True)
class Reason:
    """A reason for a rating, as a text states it.

    Attributes:
        aspect: index in ``words.ASPECTS``.
        way: sentiment: 1 positive, -1 negative, 0 neutral.
        domains: indices in ``DOMAINS`` of the domains in which the reason's noun is used.
    """

    aspect: int
    way: int
    domains: frozenset[int]


def reason_in(text: str) -> Reason | None:
    """Return the reason that a text states, in one of the phrases of reviews.

    Returns:
        None if there is no reason, or if several reasons differ.
    """
    lowercase, matches = " ".join(text.lower().split()), set()
    for aspect, way, pattern, nouns in _reasons():
        for match in pattern.finditer(lowercase):
            matches.add((aspect, way, nouns[match["n"]]))
    if len({(aspect, way) for aspect, way, _ in matches}) != 1:
        return None
    aspect, way, _ = next(iter(matches))
    return Reason(aspect, way, frozenset().union(*(domains for _, _, domains in matches)))


def interests_in(text: str) -> frozenset[int]:
    """Return the interests that a text names, as indices in ``words.INTERESTS``.

    A text names an interest by its label, one of its words, or one of its products, in English or
    Chinese; a word of several interests names all of them.
    """
    lowercase = " ".join(text.lower().replace("’", "'").split())
    return frozenset(i for i, pattern in enumerate(_interests()) if pattern.search(lowercase))


class Truth:
    """The simulator's parameters of a data set's items and shoppers.

    Args:
        dataset: the bazaar, with its oracle.

    Raises:
        DataError: if the data set has no oracle.
    """

    def __init__(self, dataset: Dataset) -> None:
        if dataset.oracle is None:
            raise DataError(
                f"the truth about {dataset.name!r} is not known; load_dataset('bazaar') has an "
                "oracle that knows it"
            )
        self.items, self.shoppers = dataset.oracle.world.items, dataset.oracle.world.shoppers

    def holds(self, reason: Reason, user_id: Id, item_id: Id) -> bool:
        """Return whether a reason is true of an item, for a shopper.

        It is true if its noun is used in the item's domain (a boot has no narration), and if the
        sentiment is positive and q > 0, negative and q < 0, or neutral and ``|c q| < NEUTRAL``. A
        true reason need not be the one that the shopper's review names: that is the aspect with
        the largest ``|c q|``.

        Raises:
            DataError: on an unknown item or shopper.
        """
        item, shopper = self._item(item_id), self._shopper(user_id)
        if int(self.items.domain[item]) not in reason.domains:
            return False
        quality = float(self.items.quality[item, reason.aspect])
        if reason.way == 0:
            return abs(quality * float(self.shoppers.aspects[shopper, reason.aspect])) < NEUTRAL
        return quality * reason.way > 0

    def interests(self, item_id: Id) -> frozenset[int]:
        """Return the interest of an item, and its second one if it has one."""
        item = self._item(item_id)
        pair = (int(self.items.interest[item]), int(self.items.second[item]))
        return frozenset(interest for interest in pair if interest >= 0)

    def interest(self, item_id: Id) -> int:
        """Return the first interest of an item."""
        return int(self.items.interest[self._item(item_id)])

    def domain(self, item_id: Id) -> str:
        """Return the domain of an item."""
        return DOMAINS[int(self.items.domain[self._item(item_id)])]

    def tastes(self, user_id: Id) -> frozenset[int]:
        """Return interests of at least ``TASTE`` of a shopper's taste, on joining or later."""
        row = self._shopper(user_id)
        shares = np.maximum(self.shoppers.early[row], self.shoppers.late[row])
        return frozenset(np.flatnonzero(shares >= TASTE).tolist())

    def agreement(self, texts: Sequence[str], about: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each text names an interest of the user, and one of the item.

        Args:
            texts: ``n`` texts.
            about: ``n`` rows with ``user_id`` and ``item_id``.

        Returns:
            Two ``(n,)`` float64 arrays of 0 and 1; NaN in the second where there is no item.
        """
        named = [interests_in(text) for text in texts]
        users, items = about["user_id"].tolist(), about["item_id"].tolist()
        taste = [bool(names & self.tastes(user)) for names, user in zip(named, users, strict=True)]
        target = [
            bool(names & self.interests(item)) if is_id(item) else np.nan
            for names, item in zip(named, items, strict=True)
        ]
        return np.array(taste, dtype=np.float64), np.array(target, dtype=np.float64)

    def _item(self, item_id: Id) -> int:
        return _index(int(item_id) - FIRST_ITEM, len(self.items.domain), "item", item_id)

    def _shopper(self, user_id: Id) -> int:
        return _index(int(user_id) - 1, len(self.shoppers.level), "shopper", user_id)


def _index(index: int, n: int, kind: str, id_: Id) -> int:
    if not 0 <= index < n:
        raise DataError(f"the bazaar has no {kind} {id_}; it has {n:,}")
    return index


@cache
def _reasons() -> list[tuple[int, int, re.Pattern[str], dict[str, frozenset[int]]]]:
    """Return aspect, sentiment and pattern of each phrase, and the domains of its nouns."""
    reasons = []
    for locale in LOCALES:
        table = PHRASES["reviews"][locale]
        for aspect, name in enumerate(words.ASPECTS):
            nouns: dict[str, frozenset[int]] = {}
            for domain, domain_nouns in table["nouns"][name].items():
                for noun in domain_nouns:
                    nouns[noun] = nouns.get(noun, frozenset()) | {DOMAINS.index(domain)}
            slot = "(?P<n>" + "|".join(sorted(map(re.escape, nouns), key=len, reverse=True)) + ")"
            for way, phrases in table["phrases"][name].items():
                for phrase in phrases:
                    before, after = map(re.escape, phrase.lower().split("{n}"))
                    boundary = r"\b" if locale == "en" else ""
                    pattern = re.compile(f"{boundary}{before}{slot}{after}{boundary}")
                    reasons.append((aspect, int(way), pattern, nouns))
    return reasons


@cache
def _interests() -> tuple[re.Pattern[str], ...]:
    """Return a pattern of the words of each interest, in all languages."""
    patterns = []
    for interest in words.INTERESTS:
        pairs = (interest.label, *interest.shared, *interest.products)
        pairs += tuple(word for own in interest.own for word in own)
        patterns.append(_any_of(pairs))
    return tuple(patterns)


def _any_of(pairs: Iterable[words.Word]) -> re.Pattern[str]:
    english, chinese = zip(*pairs, strict=True)
    first = "|".join(sorted({re.escape(word.lower()) for word in english}, key=len, reverse=True))
    second = "|".join(sorted({re.escape(word) for word in chinese}, key=len, reverse=True))
    return re.compile(rf"\b(?:{first})s?\b|{second}")
