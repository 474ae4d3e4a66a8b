"""Lookups: answers to the writing tasks that are taken from the training rows, without a network.

A task that writes is compared with them: what others said of the same item, what was said of things
of the same kind, and the item that fits best after naive Bayes has guessed the domain.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from m6rec_lite.data.ids import Id
from m6rec_lite.evaluation.text import tokens
from m6rec_lite.m6rec.tasks.data import TaskData

#: Columns in which a review of the same item must agree; the first list that finds one is used.
SAME_ITEM = (("item_id", "aspect", "language"), ("item_id", "aspect"))
#: The same for a review of a thing of the same kind.
SAME_KIND = (
    ("aspect", "domain", "language", "rating"),
    ("aspect", "domain", "language"),
    ("aspect", "domain"),
    ("aspect",),
)


def with_kinds(reviews: pd.DataFrame, data: TaskData) -> pd.DataFrame:
    """Return reviews with the ``domain`` of their item and the ``language`` of their user.

    A column that the dataset lacks is "" in every row.
    """
    items, users = data.dataset.items, data.dataset.users
    domain, language = {}, {}
    if "domain" in items:
        domain = dict(zip(items["item_id"].tolist(), items["domain"].tolist(), strict=True))
    if "locale" in users:
        language = dict(zip(users["user_id"].tolist(), users["locale"].tolist(), strict=True))
    return reviews.assign(
        domain=[domain.get(item, "") for item in reviews["item_id"].tolist()],
        language=[language.get(user, "") for user in reviews["user_id"].tolist()],
    )


class ReviewLookup:
    """Texts of training reviews, by the columns in which they must agree with a row.

    Args:
        reviews: with the columns of ``agreements`` and ``text``.
        agreements: lists of columns, the strictest first.
    """

    def __init__(self, reviews: pd.DataFrame, agreements: Iterable[Sequence[str]]) -> None:
        self._texts: list[tuple[tuple[str, ...], dict[tuple[Hashable, ...], list[str]]]] = []
        texts = reviews["text"].tolist()
        for columns in map(tuple, agreements):
            groups: dict[tuple[Hashable, ...], list[str]] = {}
            keys = zip(*(reviews[column].tolist() for column in columns), strict=True)
            for key, text in zip(keys, texts, strict=True):
                groups.setdefault(key, []).append(text)
            self._texts.append((columns, groups))

    def draw(self, row: Mapping[str, Hashable], rng: np.random.Generator) -> str | None:
        """Return a random text of the strictest agreement that finds one; None if none does."""
        for columns, groups in self._texts:
            if found := groups.get(tuple(row[column] for column in columns)):
                return found[int(rng.integers(len(found)))]
        return None


def reviews_of_same_item(
    train: pd.DataFrame, rows: pd.DataFrame, data: TaskData, rng: np.random.Generator
) -> list[str]:
    """Return for each row what somebody else wrote of its item, without a model.

    Among the aspects that training reviews of the item name, that with the largest
    ``(user's count + 1/2) (item's count)`` is taken, and a review of the item that names it. Where
    the item has no review, a review of the same kind of thing (``reviews_of_same_kind``) of the
    user's most frequent aspect.

    Args:
        train: training reviews: ``user_id item_id rating aspect text``.
        rows: ``n`` rows: ``user_id item_id rating``, and ``own``, the aspects of the user's other
            reviews.
        data: with the items' domains and the users' languages.
        rng: of the draws.
    """
    train, rows = with_kinds(train, data), with_kinds(rows, data)
    named: dict[Id, Counter[str]] = {}
    for item, aspect in zip(train["item_id"].tolist(), train["aspect"].tolist(), strict=True):
        named.setdefault(item, Counter())[aspect] += 1
    frequent = str(train["aspect"].mode()[0])
    lookup, fallback = ReviewLookup(train, SAME_ITEM), ReviewLookup(train, SAME_KIND)
    texts = []
    for row in rows.to_dict("records"):
        own, counts = Counter(row["own"]), named.get(row["item_id"], Counter())
        if counts:
            aspect = max(sorted(counts), key=lambda name: (own[name] + 0.5) * counts[name])
            text = lookup.draw(row | {"aspect": aspect}, rng)
        else:
            aspect = own.most_common(1)[0][0] if own else frequent
            text = fallback.draw(row | {"aspect": aspect}, rng)
        texts.append(text or "")
    return texts


def reviews_of_same_kind(
    train: pd.DataFrame,
    rows: pd.DataFrame,
    aspects: Sequence[str],
    data: TaskData,
    rng: np.random.Generator,
) -> list[str]:
    """Return for each row a training review that names the row's aspect, of a thing of its kind.

    It is of the same domain, language and rating where there is such a review.

    Args:
        train: as in ``reviews_of_same_item``.
        rows: ``n`` rows: ``user_id item_id rating``.
        aspects: the ``n`` aspects to be named, each of which occurs in ``train``.
        data: with the items' domains and the users' languages.
        rng: of the draws.
    """
    lookup = ReviewLookup(with_kinds(train, data), SAME_KIND)
    records = with_kinds(rows, data).assign(aspect=list(aspects)).to_dict("records")
    return [lookup.draw(row, rng) or "" for row in records]


class NaiveBayes:
    """Guess the class of a text: ``argmax ln P(class) + sum of ln P(word | class)``.

    Counts are smoothed by adding one; words that no training text has are ignored.

    Args:
        texts: ``n`` training texts.
        classes: their classes.

    Raises:
        ValueError: if there is no text.
    """

    def __init__(self, texts: Sequence[str], classes: Sequence[str]) -> None:
        if not len(texts):
            raise ValueError("there is no text to learn from: give at least one")
        self.classes = sorted(set(classes))
        self._words = {c: Counter[str]() for c in self.classes}
        for text, c in zip(texts, classes, strict=True):
            self._words[c].update(tokens(text))
        self._sizes = Counter(classes)
        self._vocabulary: set[str] = set().union(*self._words.values())

    def predict(self, text: str) -> str:
        """Return the most probable class; of equal ones the first in alphabetical order."""
        words = [word for word in tokens(text) if word in self._vocabulary]
        scores = {}
        for c, counts in self._words.items():
            total = counts.total() + len(self._vocabulary)
            scores[c] = math.log(self._sizes[c])
            scores[c] += sum(math.log((counts[word] + 1) / total) for word in words)
        return max(self.classes, key=scores.__getitem__)


def word_scores(query: str, bags: Sequence[set[str]], n_with: Mapping[str, int]) -> np.ndarray:
    """Return for each bag the weights of the query's words that it holds, added.

    Args:
        query: a text.
        bags: the words of each item.
        n_with: the number of bags that hold each word.

    Returns:
        ``(len(bags),)`` sums of ``ln(n_bags / bags with the word)``.
    """
    known = [word for word in dict.fromkeys(tokens(query)) if word in n_with]
    weights = {word: math.log(len(bags) / n_with[word]) for word in known}
    return np.array([sum(weights[w] for w in weights if w in bag) for bag in bags])
