"""Customer service without a network: the answer to the most similar past question, or none.

Past dialogues are pairs of what was asked and the answer that named an item. A new question gets
the wording of the answer to the most similar past one, with another item in it: that whose text
shares most words with the question, in the domain that naive Bayes guesses. What no past question
resembles is refused; a word that no past question has makes a question less similar to all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from m6rec_lite.data.ids import Id, as_ids
from m6rec_lite.data.tables import DataError, NotFittedError
from m6rec_lite.evaluation.text import tokens
from m6rec_lite.m6rec.tasks.lookups import NaiveBayes, word_scores
from m6rec_lite.recommenders.content import item_texts, words_and_bigrams

#: Columns of an item's text, in which the words of a question are looked up.
COLUMNS = ("title", "category", "description", "tags", "creator")
#: Slots of a template; no text contains them.
TITLE, CREATOR = "\0title", "\0creator"


@dataclass(frozen=True)
class Reply:
    """An answer to a question.

    Attributes:
        text: the answer; "" if the question was refused.
        item_id: the item that it names; None if the question was refused.
        similarity: cosine of the question and the most similar past one.
    """

    text: str
    item_id: Id | None
    similarity: float

    @property
    def refused(self) -> bool:
        """Whether there is no answer."""
        return self.item_id is None


class ServiceDesk:
    """Answer questions with the wording of past answers; see the module.

    Args:
        refuse: share of the past questions that would be refused if each were asked without itself
            among the past ones; sets the threshold of the similarity.

    Attributes:
        threshold_: the lowest similarity that gets an answer.
    """

    threshold_: float

    def __init__(self, refuse: float = 0.05) -> None:
        if not 0 <= refuse < 1:
            raise ValueError(f"refuse must be at least 0 and below 1, such as 0.05; got {refuse!r}")
        self.refuse = refuse

    def fit(
        self,
        asked: Sequence[str],
        answers: Sequence[str],
        item_ids: Sequence[Id],
        items: pd.DataFrame,
    ) -> Self:
        """Remember past pairs, and the items that may be named.

        Args:
            asked: ``n`` questions, at least two: all that the person said.
            answers: their answers.
            item_ids: the items that the answers name.
            items: the catalogue, with ``item_id``, ``title``, ``domain``, and other columns of
                ``COLUMNS`` where there are any.

        Raises:
            ValueError: if the lengths differ, or there are fewer than two pairs.
            DataError: if the catalogue lacks a column, or an item.
        """
        if not len(asked) == len(answers) == len(item_ids) or len(asked) < 2:
            raise ValueError(
                f"wanted two pairs or more, each with an item; got {len(asked)} questions, "
                f"{len(answers)} answers and {len(item_ids)} items"
            )
        if missing := {"item_id", "title", "domain"} - set(items):
            raise DataError(f"the catalogue lacks {sorted(missing)}; got {list(items.columns)}")
        self._ids = as_ids(items["item_id"], "item_id").tolist()
        index = {item: row for row, item in enumerate(self._ids)}
        if unknown := [item for item in item_ids if item not in index]:
            raise DataError(f"the catalogue lacks {unknown[:5]}, which past answers name")
        self._titles = items["title"].fillna("").tolist()
        self._creators = [""] * len(items)
        if "creator" in items:
            self._creators = items["creator"].astype(object).fillna("").tolist()
        rows = [index[item] for item in item_ids]
        self._templates = [
            _slots(answer, self._titles[row], self._creators[row])
            for answer, row in zip(answers, rows, strict=True)
        ]
        self._domains = items["domain"].astype(object).to_numpy()
        self._bayes = NaiveBayes(asked, [self._domains[row] for row in rows])
        texts = item_texts(items, [name for name in COLUMNS if name in items])
        self._bags = [set(tokens(text)) for text in texts]
        self._n_with = Counter(word for bag in self._bags for word in bag)
        self._vectorizer = TfidfVectorizer(analyzer=words_and_bigrams, norm=None)
        self._past = normalize(self._vectorizer.fit_transform(asked))
        similar = (self._past @ self._past.T).toarray()
        np.fill_diagonal(similar, -1.0)
        self.threshold_ = float(np.quantile(similar.max(axis=1), self.refuse))
        return self

    def answer(self, questions: Sequence[str]) -> list[Reply]:
        """Return a reply to each question.

        Raises:
            NotFittedError: before ``fit``.
        """
        if not hasattr(self, "threshold_"):
            raise NotFittedError("ServiceDesk is not fitted: call fit first")
        if not len(questions):
            return []
        vectors = self._vectorizer.transform(questions)
        lengths = [
            np.sqrt((vectors[row].data ** 2).sum() + self._unknown(question))
            for row, question in enumerate(questions)
        ]
        similar = (vectors @ self._past.T).toarray() / np.maximum(lengths, 1e-12)[:, None]
        best = similar.argmax(axis=1)
        return [
            self._reply(question, int(row), float(value))
            for question, row, value in zip(questions, best, similar.max(axis=1), strict=True)
        ]

    def _unknown(self, question: str) -> float:
        """Return the squared length of a question's unknown words, each as rare as any known."""
        words = Counter(words_and_bigrams(question))
        squares = [n**2 for word, n in words.items() if word not in self._vectorizer.vocabulary_]
        return float(sum(squares) * self._vectorizer.idf_.max() ** 2)

    def _reply(self, question: str, nearest: int, similarity: float) -> Reply:
        if similarity < self.threshold_ or similarity <= 0:
            return Reply("", None, similarity)
        named = np.array([bool(title) for title in self._titles])
        inside = named & (self._domains == self._bayes.predict(question))
        scores = np.where(inside, word_scores(question, self._bags, self._n_with), -np.inf)
        row = int(scores.argmax())
        text = self._templates[nearest].replace(TITLE, self._titles[row])
        return Reply(text.replace(CREATOR, self._creators[row]), self._ids[row], similarity)


def _slots(answer: str, title: str, creator: str) -> str:
    """Replace the title and the creator of an item in an answer by slots."""
    for name, slot in ((title, TITLE), (creator, CREATOR)):
        answer = answer.replace(name, slot) if name else answer
    return answer
