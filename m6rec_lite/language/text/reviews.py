"""A source of text whose every probability is known: the bazaar's writer of reviews.

What a language model can reach at best is the entropy of its source, which nobody knows for human
text. The bazaar's reviews are written by a grammar (``data/bazaar/phrases.json``): a remark in the
tone of the rating, a reason for it, and a join. Given what a review is about, every choice is
uniform, so all texts and their probabilities can be written down.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError, Dataset
from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.data.bazaar.phrases import PHRASES, mend
from m6rec_lite.data.bazaar.text import write_reviews


class ReviewSource:
    """Draws a row of a table of reviews at random, and writes about it anew.

    Args:
        dataset: the bazaar, with its oracle and its reviews.
        locale: ``"en"`` or ``"zh"``; only reviews by shoppers of that language are drawn.
        rows: how many of their reviews, from the first; None takes all.

    Attributes:
        reviews: the rows that are drawn from.

    Raises:
        DataError: if the data set has no oracle or no reviews, or none in that language.
    """

    def __init__(self, dataset: Dataset, locale: str = "en", rows: int | None = None) -> None:
        if dataset.reviews is None or dataset.oracle is None:
            raise DataError(
                f"{dataset.name} has no reviews whose writer is known; load_dataset('bazaar') has"
            )
        speaks = dataset.users.set_index("user_id")["locale"].astype(str)
        mine = dataset.reviews["user_id"].map(speaks) == locale
        self.reviews = dataset.reviews[mine].head(len(mine) if rows is None else rows)
        if len(self.reviews) == 0:
            raise DataError(f"no reviews of locale {locale!r}; the bazaar has {', '.join(LOCALES)}")
        self.latents = dataset.oracle.latents
        self._locale = LOCALES.index(locale)
        self._item = self.reviews["item_id"].to_numpy() - FIRST_ITEM
        self._rating = self.reviews["rating"].to_numpy().astype(np.int64)
        self._aspect = _places(self.reviews["aspect"], words.ASPECTS)
        self._way = _places(self.reviews["sentiment"], ("negative", "neutral", "positive")) - 1

    def write(self, n: int, seed: int) -> list[str]:
        """``n`` new reviews, each drawn independently."""
        rng = np.random.default_rng(seed)
        row = rng.integers(len(self.reviews), size=n)
        about = self._item[row], self._rating[row], self._aspect[row], self._way[row]
        return write_reviews(self.latents, *about, np.full(n, self._locale), rng)

    @cached_property
    def chances(self) -> dict[str, float]:
        """Every text that can be written, with its probability."""
        latents, item = self.latents, self._item
        tone = (self._rating >= 4).astype(int) - (self._rating <= 2)
        things = latents.domain[item], latents.interest[item], latents.kind[item]
        about = (*things, tone, self._aspect, self._way)
        subjects = Counter(zip(*(column.tolist() for column in about), strict=True))
        table = PHRASES["reviews"][LOCALES[self._locale]]
        remarks = {key: self._remarks(*key) for key in {subject[:4] for subject in subjects}}
        reasons = {key: self._reasons(*key) for key in {(s[0], s[4], s[5]) for s in subjects}}
        raw: Counter[str] = Counter()
        for subject, n in subjects.items():
            domain, _, _, tone_, aspect, way = subject
            joins = table["differ" if tone_ * way < 0 else "agree"]
            share = n / len(item) / len(joins)
            parts = itertools.product(
                remarks[subject[:4]].items(), reasons[domain, aspect, way].items(), joins
            )
            for (remark, p), (reason, q), join in parts:
                raw[join.format(F=remark, p=reason)] += share * p * q
        chances: Counter[str] = Counter()
        for text, p in raw.items():
            chances[mend(text, self._locale)] += p
        return dict(chances)

    @property
    def entropy(self) -> float:
        """``-sum of P ln P`` over all texts, in nats a review (Shannon, 1948)."""
        p = np.array(list(self.chances.values()))
        return float(-(p * np.log(p)).sum())

    def _remarks(self, domain: int, interest: int, kind: int, tone: int) -> dict[str, float]:
        """Every remark on such an item in this tone, with its probability."""
        code, of = self._locale, words.INTERESTS[interest]
        table, name = PHRASES["reviews"][LOCALES[code]], DOMAINS[domain]
        slots = {"N": of.label[code], "K": words.kind_words(domain, interest)[kind][code]}
        slots |= {"did": table["did"][name], "this": table["this"][name]}
        templates = table["fillers"][("fair", "good", "poor")[tone]]
        filled = itertools.product(templates, of.shared)
        return _shares(template.format(A=shared[code], **slots) for template, shared in filled)

    def _reasons(self, domain: int, aspect: int, way: int) -> dict[str, float]:
        """Every reason that names this aspect and feeling, with its probability."""
        table, name = PHRASES["reviews"][LOCALES[self._locale]], words.ASPECTS[aspect]
        phrases, nouns = table["phrases"][name][str(way)], table["nouns"][name][DOMAINS[domain]]
        return _shares(p.format(n=noun) for p, noun in itertools.product(phrases, nouns))


def _shares(texts: Iterable[str]) -> dict[str, float]:
    counts = Counter(texts)
    return {text: n / counts.total() for text, n in counts.items()}


def _places(column: pd.Series, names: tuple[str, ...]) -> np.ndarray:
    """The place of each value among ``names``."""
    return column.astype(str).map({name: i for i, name in enumerate(names)}).to_numpy()
