"""Exercise ``ndcg_under_ties``: NDCG of one target under ties."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _ndcg(above: int, tied: int, k: int) -> float:
    return sum(1 / np.log2(r + 1) for r in range(above + 1, above + tied + 1) if r <= k) / tied


def _ndcg_at(rank: float, k: int) -> float:
    return float(1 / np.log2(rank + 1)) if rank <= k else 0.0


EXERCISE = Exercise(
    id="ndcg_under_ties",
    title="NDCG of one target under ties",
    cases=(
        Case(args=(0, 1, 10), expected=1.0, note="alone on top"),
        Case(args=(1, 1, 10), expected=_ndcg_at(2, 10), note="alone at rank 2"),
        Case(args=(0, 2, 10), expected=(1 + _ndcg_at(2, 10)) / 2, note="rank 1 or 2"),
        Case(args=(0, 19, 10), expected=_ndcg(0, 19, 10), note="19 tied on top"),
        Case(args=(8, 4, 10), expected=_ndcg(8, 4, 10), note="ties across the edge of the list"),
        Case(args=(10, 3, 10), expected=0.0, note="below the list"),
        Case(args=(2, 3, 5), expected=_ndcg(2, 3, 5)),
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
    hints=(
        "Which ranks can the target have? Write them down for above=0, tied=2.",
        "Make an array of the ranks above + 1 … above + tied, and their gains; ranks beyond k "
        "earn 0.",
        "Return the mean of the gains: every rank is equally likely.",
    ),
    notice="19 items tied on top earn about a quarter, not the 0.29 of rank 10 nor the 1 of the "
    "optimist. A model cannot gain by refusing to decide.",
)
