"""Exercise ``tf_idf``: TF-IDF by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _counts(documents: list[list[str]]) -> np.ndarray:
    words = sorted({word for document in documents for word in document})
    return np.array([[document.count(word) for word in words] for document in documents], float)


def _unit(weights: np.ndarray, order: int = 2) -> np.ndarray:
    length = np.linalg.norm(weights, ord=order, axis=1, keepdims=True)
    return weights / np.where(length > 0, length, 1.0)


def _idf(frequency: np.ndarray, n: int) -> np.ndarray:
    return np.log((1 + n) / (1 + frequency)) + 1


def _tf_idf(documents: list[list[str]]) -> np.ndarray:
    count = _counts(documents)
    return _unit(count * _idf((count > 0).sum(axis=0), len(documents)))


def _with_idf(idf: Callable[[np.ndarray, int], np.ndarray]) -> Callable[..., np.ndarray]:
    """TF-IDF with another inverse document frequency, given the counts and the documents."""

    def tf_idf(documents: list[list[str]]) -> np.ndarray:
        count = _counts(documents)
        return _unit(count * idf(count, len(documents)))

    return tf_idf


_SHOP = [["hiking", "boots"], ["hiking", "poles"], ["piano", "jazz", "record"], ["piano", "course"]]
_REPEATS = [["jazz", "jazz", "piano"], ["jazz"], ["boots", "piano"], []]

EXERCISE = Exercise(
    id="tf_idf",
    title="TF-IDF by hand",
    cases=lambda: (
        Case(args=(_SHOP,), expected=_tf_idf(_SHOP), note="the lesson's shop"),
        Case(args=(_REPEATS,), expected=_tf_idf(_REPEATS), note="a word twice; an empty document"),
        Case(args=([["a"], ["a"]],), expected=[[1.0], [1.0]], note="a word that stands everywhere"),
    ),
    known_wrong=(
        KnownWrong(
            _with_idf(lambda count, n: np.log(n / (count > 0).sum(axis=0))),
            "Your idf is ln(N / df), without the ones. A word that stands in every document then "
            "weighs 0 and is lost; the smoothed form is ln((1 + N) / (1 + df)) + 1.",
        ),
        KnownWrong(
            _with_idf(lambda count, n: np.log((1 + n) / (1 + (count > 0).sum(axis=0)))),
            "The + 1 outside of the logarithm is missing: a word that stands in every document "
            "then weighs 0.",
        ),
        KnownWrong(
            lambda documents: (
                _counts(documents) * _idf((_counts(documents) > 0).sum(axis=0), len(documents))
            ),
            "The rows are not divided by their length, so long texts look more alike than short "
            "ones. Divide each row by its Euclidean norm.",
        ),
        KnownWrong(
            lambda documents: _unit(
                _counts(documents) * _idf((_counts(documents) > 0).sum(axis=0), len(documents)), 1
            ),
            "The rows sum to 1. Their Euclidean length should be 1: divide by the root of the sum "
            "of squares.",
        ),
        KnownWrong(
            _with_idf(lambda count, n: _idf(count.sum(axis=0), n)),
            "df counts documents, not occurrences: a word that stands twice in one document has "
            "df 1.",
        ),
        KnownWrong(
            lambda documents: _unit(
                (_counts(documents) > 0)
                * _counts(documents).sum(axis=0)
                * _idf((_counts(documents) > 0).sum(axis=0), len(documents))
            ),
            "The term frequency is that of the whole collection. Count the word in this document "
            "alone.",
        ),
        KnownWrong(
            _with_idf(lambda count, n: np.log10((1 + n) / (1 + (count > 0).sum(axis=0))) + 1),
            "That is the logarithm to base 10; the formula has the natural one (np.log). Because "
            "of the + 1 the base does not cancel.",
        ),
        KnownWrong(
            lambda documents: _unit(
                (_counts(documents) > 0)
                * _idf((_counts(documents) > 0).sum(axis=0), len(documents))
            ),
            "A word counts once in a document, however often it stands there. The term frequency "
            "is its count.",
        ),
        KnownWrong(
            lambda documents: _unit(
                np.log1p(_counts(documents))
                * _idf((_counts(documents) > 0).sum(axis=0), len(documents))
            ),
            "The counts are dampened by a logarithm (sublinear tf). Here the term frequency is the "
            "count itself.",
        ),
        KnownWrong(
            lambda documents: _unit(
                np.where(_counts(documents) > 0, 1 + np.log(np.maximum(_counts(documents), 1)), 0.0)
                * _idf((_counts(documents) > 0).sum(axis=0), len(documents))
            ),
            "The term frequency is 1 + the logarithm of the count. Here it is the count itself.",
        ),
    ),
    hints=(
        "Make the table of counts first: documents by sorted words.",
        "(count > 0).sum(axis=0) is df. Which axis is the documents?",
        "np.linalg.norm(weight, axis=1, keepdims=True); replace zeros by 1 before you divide.",
    ),
    notice="The longer a text, the more words share its length of 1. The common word 'hiking' "
    "still weighs: smoothing keeps a word that stands everywhere, as a weak one.",
)
