"""Content-based filtering with TF-IDF vectors of the items' texts.

An item needs no interactions to be recommended, only a text. TF-IDF is implemented here because a
lesson teaches it; the tests compare it with scikit-learn's ``TfidfVectorizer``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import sparse

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import DataError
from m6rec_lite.recommenders.base import Recommender, recency_weights
from m6rec_lite.recommenders.params import check_in_range, check_whole

#: Characters of scripts without spaces between words: Chinese characters and Japanese kana.
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_WORD = re.compile(r"(?u)\b\w\w+\b")  # two letters or more, as in scikit-learn
_RUN = re.compile(rf"[{CJK}]+|[^\W{CJK}]+")  # a run of CJK characters, or a word of other letters


def words(text: str) -> list[str]:
    """Return the lower-case words of two or more letters, for scripts with spaces between words.

    >>> words("A tent, 2nd-hand")
    ['tent', '2nd', 'hand']
    """
    return _WORD.findall(text.lower())


def words_and_bigrams(text: str) -> list[str]:
    """Return the words of ``words``, and the character bigrams of Chinese text.

    A Chinese sentence has no spaces, so ``words`` returns it as a single word. Most Chinese words
    have two characters, so character bigrams contain them without a dictionary.

    >>> words_and_bigrams("防水登山靴 boots")
    ['防水', '水登', '登山', '山靴', 'boots']
    """
    tokens: list[str] = []
    for run in _RUN.findall(text.lower()):
        if not re.match(f"[{CJK}]", run):
            tokens += [run] if len(run) > 1 else []
        elif len(run) == 1:
            tokens.append(run)
        else:
            tokens += [run[i : i + 2] for i in range(len(run) - 1)]
    return tokens


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "words": words,
    "cjk-bigrams": words_and_bigrams,
}


def tf_idf(
    texts: Sequence[str], tokenize: Callable[[str], list[str]], min_df: int = 1
) -> tuple[sparse.csr_array, np.ndarray]:
    """Compute the TF-IDF vectors of texts, each of length 1.

    ``weight(word, text) = count(word in text) * idf(word)`` with
    ``idf(word) = ln((1 + n) / (1 + texts with the word)) + 1``; then each row is divided by its
    Euclidean norm. This is scikit-learn's definition (``smooth_idf=True, norm="l2"``). Source:
    Salton and Buckley, *Term-weighting approaches in automatic text retrieval*, 1988.

    Args:
        texts: ``n`` texts; an empty text gives a row of zeros.
        tokenize: function that splits a text into words.
        min_df: ignore words that occur in fewer texts.

    Returns:
        ``(n, n_words)`` float64 matrix, and the ``(n_words,)`` words in alphabetical order.
    """
    counts = [Counter(tokenize(text)) for text in texts]
    frequency = Counter(word for count in counts for word in count)  # texts that have the word
    vocabulary = sorted(word for word, n in frequency.items() if n >= min_df)
    column_of = {word: i for i, word in enumerate(vocabulary)}
    entries = [
        (row, column_of[word], n)
        for row, count in enumerate(counts)
        for word, n in count.items()
        if word in column_of
    ]
    rows, columns, n = np.array(entries, dtype=np.int64).reshape(-1, 3).T
    idf = np.log((1 + len(texts)) / (1 + np.array([frequency[word] for word in vocabulary]))) + 1
    shape = (len(texts), len(vocabulary))
    matrix = sparse.coo_array((n * idf[columns], (rows, columns)), shape=shape).tocsr()
    return unit_rows(matrix), np.array(vocabulary, dtype=np.str_)


def unit_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Divide each row by its Euclidean norm; rows of zeros stay zero."""
    length = np.sqrt(matrix.multiply(matrix).sum(axis=1))
    return (sparse.diags_array(1.0 / np.where(length > 0, length, 1.0)) @ matrix).tocsr()


def item_texts(items: pd.DataFrame, columns: Iterable[str]) -> list[str]:
    """Join the texts in ``columns`` of each row with spaces, including the elements of lists.

    Raises:
        DataError: if the table has none of the columns.
    """
    present = [name for name in columns if name in items]
    if not present:
        raise DataError(f"the table of items has none of {list(columns)}: {list(items.columns)}")
    texts = [""] * len(items)
    for name in present:
        for row, value in enumerate(items[name]):
            if isinstance(value, (list, tuple, np.ndarray)):
                value = " ".join(str(part) for part in value)
            if isinstance(value, str) and value:
                texts[row] += f" {value}"
    return texts


def catalogue_table(items: pd.DataFrame | None, train: Interactions, model: str) -> pd.DataFrame:
    """Return the row of each item of the catalogue of ``train``, with ``item_id`` as index.

    Args:
        items: the items table, as passed to ``fit``.
        train: training rows.
        model: name of the model, for messages.

    Raises:
        DataError: if there is no table, or it lacks items of the catalogue.
    """
    if items is None:
        raise DataError(f"{model} reads items: call fit(train, items=dataset.items)")
    missing = np.setdiff1d(train.item_ids, items["item_id"].to_numpy())
    if len(missing):
        raise DataError(
            f"the table of items lacks {len(missing)} of the catalogue's {train.n_items} items: "
            f"{missing[:5].tolist()}; give the data set's whole table"
        )
    return items.drop_duplicates("item_id").set_index("item_id").loc[train.item_ids]


class ContentBased(Recommender):
    """Score an item by the cosine similarity of its text and the texts of the history.

    A user's profile is the sum of the TF-IDF vectors of the history's items, each weighted by
    ``decay ** steps_back``; the score is the cosine of profile and item. Items without training
    rows are scored too. Source: Lops, de Gemmis and Semeraro, *Content-based recommender systems*,
    2011.

    Args:
        columns: text columns of the items table; columns that the table lacks are skipped.
        tokenizer: ``"cjk-bigrams"`` (words, and character bigrams of Chinese text), ``"words"``, or
            a function from a text to a list of words (such a model cannot be saved).
        min_df: ignore words that occur in fewer items.
        decay: factor on the weight of an event for each step back in the history, in (0, 1]; 1
            ignores the order.
    """

    def __init__(
        self,
        columns: Sequence[str] = ("title", "description", "tags"),
        tokenizer: Literal["words", "cjk-bigrams"] | Callable[[str], list[str]] = "cjk-bigrams",
        min_df: int = 1,
        decay: float = 1.0,
    ) -> None:
        if not callable(tokenizer) and tokenizer not in TOKENIZERS:
            names = " or ".join(map(repr, TOKENIZERS))
            raise ValueError(f"tokenizer must be {names} or a function, got {tokenizer!r}")
        if isinstance(columns, str):
            raise ValueError(f"columns must be a list of names, got the one string {columns!r}")
        check_in_range("decay", decay, 0, 1, open_low=True)
        self.columns = tuple(columns)
        self.tokenizer = tokenizer
        self.min_df = check_whole("min_df", min_df)
        self.decay = decay

    def _fit(
        self, train: Interactions, *, items: pd.DataFrame | None = None, **extras: Any
    ) -> None:
        catalogue = catalogue_table(items, train, self.name)
        tokenize = self.tokenizer if callable(self.tokenizer) else TOKENIZERS[self.tokenizer]
        texts = item_texts(catalogue, self.columns)
        self.vectors_, self.vocabulary_ = tf_idf(texts, tokenize, self.min_df)
        if self.vectors_.nnz == 0:
            raise DataError(f"no words in the columns {list(self.columns)} of any item")

    def _score(self, histories: Histories) -> np.ndarray:
        weights = recency_weights(histories, self.decay)
        profiles = unit_rows(histories.matrix(weights) @ self.vectors_)  # (n, n_words)
        return (profiles @ self.vectors_.T).toarray()

    def _similarity(self, index: int) -> np.ndarray:
        return (self.vectors_ @ self.vectors_[[index]].T).toarray()[:, 0]
