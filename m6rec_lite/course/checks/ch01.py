"""Exercises of chapter 01: metrics, TF-IDF, recency; those on fair judging come from the side."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.checks.fair_judging import (
    LEAKY_SPLIT,
    PAIRED_BOOTSTRAP,
    SAMPLED_NEGATIVES,
)
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 01.1 NDCG of one target under ties


def _ndcg(above: int, tied: int, k: int) -> float:
    return sum(1 / np.log2(r + 1) for r in range(above + 1, above + tied + 1) if r <= k) / tied


def _ndcg_at(rank: float, k: int) -> float:
    return float(1 / np.log2(rank + 1)) if rank <= k else 0.0


NDCG_UNDER_TIES = Exercise(
    id="01.1",
    title="NDCG of one target under ties",
    answer="ndcg_under_ties",
    cases=(
        Case(args=(0, 1, 10), wanted=1.0, note="alone on top"),
        Case(args=(1, 1, 10), wanted=_ndcg_at(2, 10), note="alone at rank 2"),
        Case(args=(0, 2, 10), wanted=(1 + _ndcg_at(2, 10)) / 2, note="rank 1 or 2"),
        Case(args=(0, 19, 10), wanted=_ndcg(0, 19, 10), note="19 tied on top"),
        Case(args=(8, 4, 10), wanted=_ndcg(8, 4, 10), note="ties across the edge of the list"),
        Case(args=(10, 3, 10), wanted=0.0, note="below the list"),
        Case(args=(2, 3, 5), wanted=_ndcg(2, 3, 5)),
    ),
    known_wrong=(
        KnownWrong(
            lambda above, tied, k: _ndcg_at(above + (1 + tied) / 2, k),
            "That is the gain at the average rank. It can be gamed: 19 items tied on top would "
            "count as rank 10. Average the gains over the ranks, not the ranks.",
        ),
        KnownWrong(
            lambda above, tied, k: _ndcg_at(above + 1, k),
            "That lets the target win every tie (optimistic). It may stand at any of the tied "
            "ranks, each equally likely.",
        ),
        KnownWrong(
            lambda above, tied, k: _ndcg_at(above + tied, k),
            "That lets the target lose every tie (pessimistic). It may stand at any of the tied "
            "ranks, each equally likely.",
        ),
        KnownWrong(
            lambda above, tied, k: (
                sum(1 / np.log2(r + 2) for r in range(above + 1, above + tied + 1) if r <= k) / tied
            ),
            "The discount is off by one: with ranks from 1 the gain is 1 / log2(rank + 1), so "
            "that rank 1 earns a whole point. (`rank + 2` belongs to ranks that count from 0.)",
        ),
        KnownWrong(
            lambda above, tied, k: (
                _ndcg(above, tied, k) * tied / max(min(above + tied, k) - above, 1)
            ),
            "That averages over the tied ranks inside the list only. The ranks beyond k earn "
            "nothing, but they are as likely: divide by `tied`.",
        ),
        KnownWrong(
            lambda above, tied, k: (
                sum(1 / np.log(r + 1) for r in range(above + 1, above + tied + 1) if r <= k) / tied
            ),
            "`np.log` is the natural logarithm; NDCG discounts by the logarithm to base 2.",
        ),
    ),
    correct_alternatives=(_ndcg,),
    hints=(
        "Which ranks can the target have? Write them down for above=0, tied=2.",
        "Make an array of the ranks above + 1 … above + tied, and their gains; ranks beyond k "
        "earn 0.",
        "Return the mean of the gains: every rank is equally likely.",
    ),
    notice="19 items tied on top earn about a quarter, not the 0.29 of rank 10 nor the 1 of the "
    "optimist. A model cannot gain by refusing to decide.",
)


# 01.2 TF-IDF


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

TF_IDF = Exercise(
    id="01.2",
    title="TF-IDF by hand",
    answer="tf_idf",
    cases=lambda: (
        Case(args=(_SHOP,), wanted=_tf_idf(_SHOP), note="the shop of chapter 01"),
        Case(args=(_REPEATS,), wanted=_tf_idf(_REPEATS), note="a word twice; an empty document"),
        Case(args=([["a"], ["a"]],), wanted=[[1.0], [1.0]], note="a word that stands everywhere"),
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
    ),
    correct_alternatives=(
        _tf_idf,
        lambda documents: [row.tolist() for row in _tf_idf(documents)],
    ),
    hints=(
        "Make the table of counts first: documents by sorted words.",
        "(count > 0).sum(axis=0) is df. Which axis is the documents?",
        "np.linalg.norm(weight, axis=1, keepdims=True); replace zeros by 1 before you divide.",
    ),
    notice="The longer a text, the more words share its length of 1. The common word 'hiking' "
    "still weighs: smoothing keeps a word that stands everywhere, as a weak one.",
)


# 01.5 Recency weights of ragged histories


def _weights(lengths: list[int], decay: float, shift: int = 0) -> np.ndarray:
    return np.array([decay ** (n - 1 - i + shift) for n in lengths for i in range(n)], dtype=float)


def _normalised(lengths: list[int], decay: float) -> np.ndarray:
    rows = [_weights([n], decay) for n in lengths]
    return np.concatenate([row / row.sum() for row in rows if len(row)] or [np.zeros(0)])


RECENCY_WEIGHTS = Exercise(
    id="01.5",
    title="Recency weights of ragged histories",
    answer="recency_weights",
    cases=(
        Case(args=([3, 1, 2], 0.5), wanted=[0.25, 0.5, 1, 1, 0.5, 1]),
        Case(args=([2, 0, 3], 0.1), wanted=[0.1, 1, 0.01, 0.1, 1], note="one history is empty"),
        Case(args=([4], 1.0), wanted=[1, 1, 1, 1], note="decay 1 forgets nothing"),
        Case(args=([1, 1], 0.7), wanted=[1, 1]),
    ),
    known_wrong=(
        KnownWrong(
            lambda lengths, decay: _weights(lengths, decay, shift=1),
            "The latest event has weight decay ** 1. It is no step back: decay ** 0 = 1.",
        ),
        KnownWrong(
            lambda lengths, decay: np.concatenate(
                [decay ** np.arange(n, dtype=float) for n in lengths]
            ),
            "The weights fade from the oldest event on: the oldest weighs 1 and the latest least. "
            "Turn them round.",
        ),
        KnownWrong(
            lambda lengths, decay: decay ** np.arange(sum(lengths), dtype=float)[::-1],
            "The steps run through from one history into the next. Each history starts again: its "
            "own latest event weighs 1.",
        ),
        KnownWrong(
            _normalised,
            "Each history is scaled to sum to 1. The latest event shall weigh 1, whatever the "
            "length. (It would not change a ranking, but it is not what was asked.)",
        ),
        KnownWrong(
            lambda lengths, decay: np.concatenate(
                [np.exp(-decay * np.arange(n, dtype=float)[::-1]) for n in lengths]
            ),
            "That is exp(-decay * steps): decay is the factor that one step costs, decay ** steps.",
        ),
    ),
    correct_alternatives=(
        _weights,
        lambda lengths, decay: (
            decay
            ** (np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(sum(lengths))).astype(float)
        ),
    ),
    hints=(
        "How many steps back is the latest event of a history? And the one before?",
        "For one history of length n the steps back are n - 1, …, 1, 0.",
        "np.arange(n)[::-1] for each length, joined with np.concatenate; then decay ** that.",
    ),
    notice="Scaling a history by a constant changes no ranking, so 1 for the latest is a choice; "
    "the ratio between neighbours is what matters.",
)


EXERCISES = (
    NDCG_UNDER_TIES,
    TF_IDF,
    SAMPLED_NEGATIVES,
    LEAKY_SPLIT,
    RECENCY_WEIGHTS,
    PAIRED_BOOTSTRAP,
)
