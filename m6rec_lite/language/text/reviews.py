"""The bazaar's generator of reviews: a source of text with known probabilities.

The entropy of its source is a lower bound for the loss of a language model; for human text it is
unknown. The bazaar's reviews come from a grammar (``data/bazaar/phrases.json``): a remark in the
tone of the rating, a reason, and a conjunction. Given the subject of a review, every choice is
uniform, so all texts can be enumerated with their probabilities.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pandas as pd

from m6rec_lite.data import DataError, Dataset
from m6rec_lite.data.bazaar import words
from m6rec_lite.data.bazaar.latents import DOMAINS, LOCALES
from m6rec_lite.data.bazaar.oracle import FIRST_ITEM
from m6rec_lite.data.bazaar.phrases import PHRASES, fix_grammar
from m6rec_lite.data.bazaar.text import write_reviews


class ReviewSource:
    """Generate reviews: draw a row of a table of reviews and write a new text about it.

    Args:
        dataset: the bazaar, with its oracle and reviews.
        locale: ``"en"`` or ``"zh"``; language of the reviews.
        rows: use only the first reviews of that language; None: all.

    Attributes:
        reviews: the rows to draw from.

    Raises:
        DataError: if the data set has no oracle or no reviews, or none in that language.
    """

    def __init__(self, dataset: Dataset, locale: str = "en", rows: int | None = None) -> None:
        if dataset.reviews is None or dataset.oracle is None:
            raise DataError(
                f"{dataset.name} has no reviews whose writer is known; load_dataset('bazaar') has"
            )
        locales = dataset.users.set_index("user_id")["locale"].astype(str)
        selected = dataset.reviews["user_id"].map(locales) == locale
        self.reviews = dataset.reviews[selected].head(len(selected) if rows is None else rows)
        if len(self.reviews) == 0:
            raise DataError(f"no reviews of locale {locale!r}; the bazaar has {', '.join(LOCALES)}")
        self.latents = dataset.oracle.latents
        self._locale = LOCALES.index(locale)
        self._item = self.reviews["item_id"].to_numpy() - FIRST_ITEM
        self._rating = self.reviews["rating"].to_numpy().astype(np.int64)
        self._aspect = _indices(self.reviews["aspect"], words.ASPECTS)
        sentiments = ("negative", "neutral", "positive")
        self._sentiment = _indices(self.reviews["sentiment"], sentiments) - 1

    def write(self, n: int, seed: int) -> list[str]:
        """Return ``n`` new reviews, drawn independently."""
        rng = np.random.default_rng(seed)
        row = rng.integers(len(self.reviews), size=n)
        about = self._item[row], self._rating[row], self._aspect[row], self._sentiment[row]
        return write_reviews(self.latents, *about, np.full(n, self._locale), rng)

    @cached_property
    def chances(self) -> dict[str, float]:
        """All possible texts with their probabilities."""
        latents, item = self.latents, self._item
        tone = (self._rating >= 4).astype(int) - (self._rating <= 2)
        items = latents.domain[item], latents.interest[item], latents.kind[item]
        about = (*items, tone, self._aspect, self._sentiment)
        subjects = Counter(zip(*(column.tolist() for column in about), strict=True))
        table = PHRASES["reviews"][LOCALES[self._locale]]
        remarks = {key: self._remarks(*key) for key in {subject[:4] for subject in subjects}}
        reasons = {key: self._reasons(*key) for key in {(s[0], s[4], s[5]) for s in subjects}}
        raw: defaultdict[str, float] = defaultdict(float)
        for subject, n in subjects.items():
            domain, _, _, tone_, aspect, sentiment = subject
            joins = table["differ" if tone_ * sentiment < 0 else "agree"]
            share = n / len(item) / len(joins)
            parts = itertools.product(
                remarks[subject[:4]].items(), reasons[domain, aspect, sentiment].items(), joins
            )
            for (remark, p), (reason, q), join in parts:
                raw[join.format(F=remark, p=reason)] += share * p * q
        chances: defaultdict[str, float] = defaultdict(float)
        for text, p in raw.items():
            chances[fix_grammar(text, self._locale)] += p
        return dict(chances)

    @property
    def entropy(self) -> float:
        """Entropy ``-sum P ln P`` over all texts, in nats per review (Shannon, 1948)."""
        p = np.array(list(self.chances.values()))
        return float(-(p * np.log(p)).sum())

    def _remarks(self, domain: int, interest: int, kind: int, tone: int) -> dict[str, float]:
        """Return all remarks on an item in a tone with their probabilities."""
        code, topic = self._locale, words.INTERESTS[interest]
        table, name = PHRASES["reviews"][LOCALES[code]], DOMAINS[domain]
        slots = {"N": topic.label[code], "K": words.kind_words(domain, interest)[kind][code]}
        slots |= {"did": table["did"][name], "this": table["this"][name]}
        templates = table["fillers"][("fair", "good", "poor")[tone]]
        filled = itertools.product(templates, topic.shared)
        return _shares(template.format(A=shared[code], **slots) for template, shared in filled)

    def _reasons(self, domain: int, aspect: int, sentiment: int) -> dict[str, float]:
        """Return all reasons for an aspect and sentiment with their probabilities."""
        table, name = PHRASES["reviews"][LOCALES[self._locale]], words.ASPECTS[aspect]
        phrases = table["phrases"][name][str(sentiment)]
        nouns = table["nouns"][name][DOMAINS[domain]]
        return _shares(p.format(n=noun) for p, noun in itertools.product(phrases, nouns))


def _shares(texts: Iterable[str]) -> dict[str, float]:
    counts = Counter(texts)
    return {text: n / counts.total() for text, n in counts.items()}


def _indices(column: pd.Series, names: tuple[str, ...]) -> np.ndarray:
    """Return the index of each value in ``names``."""
    return column.astype(str).map({name: i for i, name in enumerate(names)}).to_numpy()
