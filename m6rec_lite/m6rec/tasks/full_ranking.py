"""Evaluation of the tasks that rank items: every unseen item, under the default protocol."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from m6rec_lite.evaluation import FixedScores, Report, evaluate
from m6rec_lite.m6rec.tasks.data import TaskData
from m6rec_lite.recommenders import Popularity


def ranking_report(
    scores: np.ndarray,
    user_ids: np.ndarray,
    data: TaskData,
    part: str,
    name: str = "M6-Rec",
    *,
    oracle: bool = False,
) -> Report:
    """Evaluate scores of the whole catalogue for some users of validation or test.

    Args:
        scores: ``(n, n_items)`` in the order of ``split.item_ids``; -inf for items not ranked.
        user_ids: ``(n,)`` the users.
        data: whose split has their questions.
        part: ``"validation"`` or ``"test"``.
        name: of the model, for the report.
        oracle: evaluate the dataset's oracle too, if it has one.

    Raises:
        ValueError: on another part, on no scores, or not a row of scores for each user.
    """
    if part not in ("validation", "test"):
        raise ValueError(f"only examples of validation or test can be ranked, got part {part!r}")
    if not len(user_ids) or np.shape(scores) != (len(user_ids), len(data.split.item_ids)):
        raise ValueError(
            f"wanted scores of all {len(data.split.item_ids)} items for each of {len(user_ids)} "
            f"users, got {np.shape(scores)}"
        )
    user_ids, rows = np.unique(user_ids, return_index=True)  # users may have several targets
    holdout = getattr(data.split, part)
    selected = np.isin(holdout.histories.user_ids, user_ids)
    split = replace(data.split, **{part: holdout[selected]})
    fixed = FixedScores(split.item_ids, user_ids, scores[rows], name)
    best = data.oracle if oracle else None
    on: Literal["validation", "test"] = "test" if part == "test" else "validation"
    return evaluate(fixed, split, on=on, oracle=best, progress=False)


def ranking_figures(report: Report) -> dict[str, float]:
    """Return HR and NDCG at 10 with their intervals, and the share of an oracle's."""
    metrics: dict[str, float] = {"users": report.n_users}
    for name in ("hr@10", "ndcg@10"):
        metrics[name] = report[name]
        metrics[f"{name}_low"], metrics[f"{name}_high"] = report.intervals[name]
        if report.oracle is not None and report.oracle_share is not None:
            metrics[f"{name}, share of the oracle's"] = report.oracle_share[name]
            metrics[f"oracle {name}"] = report.oracle[name]
    return metrics


def popularity(data: TaskData) -> np.ndarray:
    """Return ``(n_items,)`` float64: users that met each item in training."""
    return Popularity().fit(data.split.train).popularity_
