"""What is true in the bazaar, for judging what a model writes about it.

Whether a given reason is *true* cannot be decided from data of users: they do not say how
good the workmanship of a boot is. The simulator does. It drew for each item how good it is in each
aspect, q from -1 to 1, for each shopper how much each aspect matters, c (adding up to 1), and
words for each interest; and the aspect with the largest ``|c q|`` is what a review names
(``data.bazaar.talk``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from m6rec_lite.data import DataError, Dataset
from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.data.bazaar.phrases import PHRASES

#: Below so much ``|c q|`` an aspect is neither good nor bad to a shopper (as in ``talk``).
NEUTRAL = 0.1
#: Share of a shopper's taste from which an interest is theirs; alike for all it would be 1 / 24.
TASTE = 0.1


@dataclass(frozen=True)
class Reason:
    """A reason that a text gives.

    Attributes:
        aspect: place in ``words.ASPECTS``.
        way: 1 praises, -1 blames, 0 neither.
        domains: places in ``DOMAINS`` of the domains whose items such a noun is said of.
    """

    aspect: int
    way: int
    domains: frozenset[int]


def reason_in(text: str) -> Reason | None:
    """The reason that a text gives, in the turns of phrase in which reviews give them.

    Returns:
        None if there is none, or if there are two that differ.
    """
    low, found = " ".join(text.lower().split()), set()
    for aspect, way, pattern, nouns in _reasons():
        for match in pattern.finditer(low):
            found.add((aspect, way, nouns[match["n"]]))
    if len({(aspect, way) for aspect, way, _ in found}) != 1:
        return None
    aspect, way, _ = next(iter(found))
    return Reason(aspect, way, frozenset().union(*(domains for _, _, domains in found)))


def interests_in(text: str) -> frozenset[int]:
    """The interests that a text names: places in ``words.INTERESTS``.

    By the interest's name, its words of all domains and of each, and its products, in English or
    Chinese; a word that several interests share names them all.
    """
    low = " ".join(text.lower().replace("’", "'").split())
    return frozenset(i for i, pattern in enumerate(_interests()) if pattern.search(low))


class Truth:
    """What the simulator knows of a data set's items and shoppers.

    Args:
        dataset: the bazaar, with its oracle.

    Raises:
        DataError: if the data set has none.
    """

    def __init__(self, dataset: Dataset) -> None:
        if dataset.oracle is None:
            raise DataError(
                f"of {dataset.name!r} nobody knows what is true; load_dataset('bazaar') has an "
                "oracle that does"
            )
        self.items, self.shoppers = dataset.oracle.world.items, dataset.oracle.world.shoppers

    def holds(self, reason: Reason, user_id: int, item_id: int) -> bool:
        """Whether a reason is true of an item, for a shopper.

        It is, if the noun is one for items of that domain (a boot has no narration); and if it
        praises an aspect in which the item is good (q > 0), blames one in which it is bad (q < 0),
        or finds neither in one that the shopper hardly feels (``|c q| < NEUTRAL``). A true reason
        need not be *the* reason: that is the aspect with the largest ``|c q|``, which the review
        names.

        Raises:
            DataError: if there is no such item or shopper.
        """
        item, shopper = self._item(item_id), self._shopper(user_id)
        if int(self.items.domain[item]) not in reason.domains:
            return False
        quality = float(self.items.quality[item, reason.aspect])
        if reason.way == 0:
            return abs(quality * float(self.shoppers.aspects[shopper, reason.aspect])) < NEUTRAL
        return quality * reason.way > 0

    def interests(self, item_id: int) -> frozenset[int]:
        """The interest that an item is about, and the second one that it names, if it does."""
        item = self._item(item_id)
        pair = (int(self.items.interest[item]), int(self.items.second[item]))
        return frozenset(one for one in pair if one >= 0)

    def interest(self, item_id: int) -> int:
        """The interest that an item is about."""
        return int(self.items.interest[self._item(item_id)])

    def domain(self, item_id: int) -> str:
        """The item's domain."""
        return DOMAINS[int(self.items.domain[self._item(item_id)])]

    def tastes(self, user_id: int) -> frozenset[int]:
        """The interests that are at least ``TASTE`` of a shopper's taste, on joining or later."""
        place = self._shopper(user_id)
        most = np.maximum(self.shoppers.early[place], self.shoppers.late[place])
        return frozenset(np.flatnonzero(most >= TASTE).tolist())

    def _item(self, item_id: int) -> int:
        return _place(int(item_id) - FIRST_ITEM, len(self.items.domain), "item", item_id)

    def _shopper(self, user_id: int) -> int:
        return _place(int(user_id) - 1, len(self.shoppers.level), "shopper", user_id)


def _place(place: int, n: int, what: str, given: int) -> int:
    if not 0 <= place < n:
        raise DataError(f"the bazaar has no {what} {given}; it has {n:,}")
    return place


@cache
def _reasons() -> list[tuple[int, int, re.Pattern[str], dict[str, frozenset[int]]]]:
    """Aspect, way, the pattern of one turn of phrase, and the domains of each noun in it."""
    found = []
    for locale in LOCALES:
        table = PHRASES["reviews"][locale]
        for aspect, name in enumerate(words.ASPECTS):
            nouns: dict[str, frozenset[int]] = {}
            for domain, some in table["nouns"][name].items():
                for noun in some:
                    nouns[noun] = nouns.get(noun, frozenset()) | {DOMAINS.index(domain)}
            slot = "(?P<n>" + "|".join(sorted(map(re.escape, nouns), key=len, reverse=True)) + ")"
            for way, phrases in table["phrases"][name].items():
                for phrase in phrases:
                    before, after = map(re.escape, phrase.lower().split("{n}"))
                    edge = r"\b" if locale == "en" else ""
                    pattern = re.compile(f"{edge}{before}{slot}{after}{edge}")
                    found.append((aspect, int(way), pattern, nouns))
    return found


@cache
def _interests() -> tuple[re.Pattern[str], ...]:
    """For each interest one pattern of its words in all languages."""
    patterns = []
    for interest in words.INTERESTS:
        every = (interest.label, *interest.shared, *interest.products)
        every += tuple(word for own in interest.own for word in own)
        patterns.append(_any_of(every))
    return tuple(patterns)


def _any_of(pairs: Iterable[words.Word]) -> re.Pattern[str]:
    english, chinese = zip(*pairs, strict=True)
    first = "|".join(sorted({re.escape(word.lower()) for word in english}, key=len, reverse=True))
    second = "|".join(sorted({re.escape(word) for word in chinese}, key=len, reverse=True))
    return re.compile(rf"\b(?:{first})s?\b|{second}")
