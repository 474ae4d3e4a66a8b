"""The one protocol: every model ranks every item its user has not seen, and is judged alike.

``evaluate`` asks a model for scores batch by batch, takes out what may not be ranked, and measures.
It knows models only by ``Ranker``: anything with ``item_ids`` and ``score(histories)`` will do.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from scipy import sparse
from tqdm.auto import tqdm

from m6rec_lite.data.holdout import Split
from m6rec_lite.data.interactions import Histories
from m6rec_lite.data.tables import NotFittedError
from m6rec_lite.evaluation.beyond_accuracy import BeyondAccuracy
from m6rec_lite.evaluation.costs import Cost, Meter, measure_fit
from m6rec_lite.evaluation.questions import Questions, all_but_sample
from m6rec_lite.evaluation.ranking import TargetRanks, accuracy, check_k, check_scores, hr, ndcg
from m6rec_lite.evaluation.report import LABELS, Report
from m6rec_lite.evaluation.significance import bootstrap_interval

_MAX_CELLS = 2**23  # of one batch's score matrix: 64 MB in float64


@runtime_checkable
class Ranker(Protocol):
    """What evaluation needs of a model."""

    item_ids: np.ndarray

    def score(self, histories: Histories) -> np.ndarray:
        """``(n_histories, n_items)`` in the order of ``item_ids``; higher is better."""


@dataclass(frozen=True, eq=False)
class FixedScores:
    """A model that answers from a matrix of scores: to judge scores that came from elsewhere.

    Attributes:
        item_ids: ``(n_items,)`` ascending, the columns.
        user_ids: ``(n_users,)`` without repeats, the rows.
        matrix: ``(n_users, n_items)`` float.
        name: for the report.
    """

    item_ids: np.ndarray
    user_ids: np.ndarray
    matrix: np.ndarray
    name: str = "FixedScores"

    def score(self, histories: Histories) -> np.ndarray:
        """The rows of the histories' users.

        Raises:
            ValueError: if a user has no row.
        """
        rows = pd.Index(self.user_ids).get_indexer(histories.user_ids)
        if (rows < 0).any():
            raise ValueError(f"no scores for users {histories.user_ids[rows < 0][:5].tolist()}")
        return self.matrix[rows]


def evaluate(
    model: Ranker,
    split: Split,
    *,
    k: int | tuple[int, ...] = (5, 10, 20),
    on: Literal["test", "validation"] = "test",
    items: pd.DataFrame | np.ndarray | sparse.sparray | None = None,
    oracle: Ranker | Report | None = None,
    sampled_negatives: int | None = None,
    filter_viewed: bool = True,
    batch_size: int = 1024,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: bool = True,
    fit_cost: Cost | None = None,
) -> Report:
    """Judge a fitted model on a split: accuracy, beyond accuracy, intervals, costs.

    Every item that the user has not seen (and that is among ``split.candidates``) is ranked.
    Targets that may not be ranked are left out and counted, and so are users without any other:
    which ones depends on the split alone, never on the model. Tied scores are worth their exact
    expectation over random orders; an item scored -inf is never recommended; NaN raises.

    Args:
        model: fitted; only its ``score`` is called.
        split: the questions.
        k: list lengths, each at least 1; beyond the catalogue equals the catalogue.
        on: ``test`` or ``validation``.
        items: an items table (domain, category, tags) or ``(n_items, n_features)`` features in the
            split's order: with it, intra-list diversity is measured.
        oracle: a model that knows the truth, judged beside; or its report, to save the time. Where
            it is a model whose rows are probabilities, expected satisfaction is measured too: the
            true chance that the list holds the next item, given that it is one that may be ranked.
        sampled_negatives: rank the targets among so many items drawn from the others instead of
            all. Only to show what that distorts: the figures are far higher, and can put models in
            another order. Beyond-accuracy figures are then left out.
        filter_viewed: take the items of the history out of the ranking.
        batch_size: histories scored at once, at most; fewer where the catalogue is large.
        bootstrap: draws for the 95 % intervals; 0 for none.
        seed: of bootstrap, sampled negatives and the pairs of users behind ``overlap``.
        progress: show a bar where it takes longer than two seconds.
        fit_cost: what ``measure_fit`` returned, for the report's costs.

    Returns:
        a ``Report``.

    Raises:
        NotFittedError: if the model was not fitted.
        TypeError: if ``split`` is not a split.
        ValueError: on k < 1, scores of the wrong shape or with NaN or +inf, a model of another
            catalogue, or a split without a question that can be asked.
    """
    if not isinstance(split, Split):
        raise TypeError(
            f"evaluate(model, split) wants a Split, got {type(split).__name__}; make one with "
            "leave_one_out(dataset)"
        )
    ks = check_k(k)
    if batch_size < 1 or bootstrap < 0 or (sampled_negatives is not None and sampled_negatives < 1):
        raise ValueError(
            f"batch_size and sampled_negatives must be at least 1 and bootstrap at least 0; got "
            f"{batch_size}, {sampled_negatives}, {bootstrap}"
        )
    name = getattr(model, "name", type(model).__name__)
    for ranker in (model, oracle):
        if ranker is not None and not isinstance(ranker, Report):
            _check_ranker(ranker, split)
    questions = Questions(split, on, filter_viewed)
    beyond = None
    if sampled_negatives is None:
        beyond = BeyondAccuracy(split, questions, items, ks, seed)
    draws = np.random.default_rng([seed, 1])
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    truth: dict[str, list[np.ndarray]] = defaultdict(list)
    every: list[TargetRanks] = []
    predict_seconds, n_items = 0.0, len(split.item_ids)
    step = max(1, min(batch_size, _MAX_CELLS // max(n_items, 1)))
    n = len(questions)
    with Meter() as meter, tqdm(
        total=n, desc=f"evaluate {name}", unit="user", delay=2, disable=not progress, leave=False
    ) as bar:  # fmt: skip
        for start in range(0, n, step):
            batch = questions.batch(start, min(start + step, n))
            out = batch.out
            clock = time.perf_counter()
            scores = model.score(batch.histories)
            predict_seconds += time.perf_counter() - clock
            if sampled_negatives is not None:
                out = all_but_sample(batch, sampled_negatives, draws)
            scores = _rankable(scores, out, f"the scores of {name}")
            places = TargetRanks.from_scores(scores, batch.rows, batch.targets)
            every.append(places)
            for metric, values in accuracy(places, ks).items():
                found[metric].append(values)
            chances = None
            if oracle is not None and not isinstance(oracle, Report):
                raw = oracle.score(batch.histories)
                best = _rankable(raw, out, "the scores of the oracle")
                known = TargetRanks.from_scores(best, batch.rows, batch.targets)
                for each in ks:
                    truth[f"hr@{each}"].append(hr(known, each))
                    truth[f"ndcg@{each}"].append(ndcg(known, each))
                chances = _probabilities(raw, out)
            if beyond is not None:
                for metric, values in beyond.measure(scores, batch, start, chances).items():
                    found[metric].append(values)
            bar.update(len(batch.histories))
    per_user = {metric: np.concatenate(parts) for metric, parts in found.items()}
    if any(np.isnan(values).any() for metric, values in per_user.items() if _satisfied(metric)):
        per_user = {key: value for key, value in per_user.items() if not _satisfied(key)}
    metrics = {metric: _mean(values) for metric, values in per_user.items()}
    if beyond is not None:
        metrics |= beyond.overall()
    best = {metric: _mean(np.concatenate(parts)) for metric, parts in truth.items()} or None
    if isinstance(oracle, Report):
        best = _oracle_figures(oracle, split, on, sampled_negatives, filter_viewed, ks)
    fit = fit_cost or Cost(float("nan"), float("nan"))
    costs = {
        "fit_seconds": fit.seconds,
        "predict_seconds": predict_seconds,
        "peak_mib": float(np.fmax(fit.peak_mib, meter.cost.peak_mib)),
        "n_params": getattr(model, "n_params", float("nan")),
    }
    return Report(
        model=name,
        variant=getattr(model, "variant", ""),
        seed=getattr(model, "seed", None),
        dataset=split.dataset,
        split=split.name,
        split_hash=split.hash,
        on=on,
        ranking="full" if sampled_negatives is None else f"sampled:{sampled_negatives}",
        filter_viewed=filter_viewed,
        k=ks,
        n_users=n,
        n_skipped=questions.n_skipped,
        n_targets_out=questions.n_targets_out,
        tied_last=split.tied_last,
        user_ids=questions.holdout.histories.user_ids,
        per_user=per_user,
        metrics=_in_order(metrics, ks),
        intervals=_intervals(per_user, bootstrap, seed),
        costs=costs,
        oracle=best,
        oracle_share=None if best is None else {
            metric: metrics[metric] / value if value > 0 else float("nan")
            for metric, value in best.items()
        },
        ranks=TargetRanks.concatenate(every),
    )  # fmt: skip


def fit_and_evaluate(
    model: Any,
    split: Split,
    *,
    k: int | tuple[int, ...] = (5, 10, 20),
    on: Literal["test", "validation"] = "test",
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    oracle: Ranker | Report | None = None,
    sampled_negatives: int | None = None,
    filter_viewed: bool = True,
    batch_size: int = 1024,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> Report:
    """Fit a recommender on the split's training rows, measuring its cost, then ``evaluate`` it.

    Args:
        model: a recommender; it is fitted in place.
        split: training rows and questions.
        items: the items table, for the model and for diversity.
        users: the users table, for the model.

    The other arguments are those of ``evaluate``.
    """
    cost = measure_fit(model, split, items=items, users=users, progress=progress)
    return evaluate(
        model,
        split,
        k=k,
        on=on,
        items=items,
        oracle=oracle,
        sampled_negatives=sampled_negatives,
        filter_viewed=filter_viewed,
        batch_size=batch_size,
        bootstrap=bootstrap,
        seed=seed,
        progress=progress,
        fit_cost=cost,
    )


def _check_ranker(model: Ranker, split: Split) -> None:
    """The model must speak of the split's catalogue."""
    if not isinstance(model, Ranker):
        raise ValueError(f"{type(model).__name__} has no item_ids or no score(histories)")
    name = getattr(model, "name", type(model).__name__)
    if model.item_ids is None:
        raise NotFittedError(f"{name} is not fitted: call fit(split.train) first")
    if not np.array_equal(model.item_ids, split.item_ids):
        new = np.setdiff1d(split.item_ids, model.item_ids)
        gone = np.setdiff1d(model.item_ids, split.item_ids)
        raise ValueError(
            f"{name} ranks {len(model.item_ids)} items that are not the {len(split.item_ids)} of "
            f"this split: {len(new)} it does not know {new[:3].tolist()}, {len(gone)} that the "
            f"split lacks {gone[:3].tolist()}. Fit it on split.train to compare models; to "
            'recommend from histories with new items use recommend(histories, unknown="drop")'
        )


def _rankable(scores: np.ndarray, out: np.ndarray, source: str) -> np.ndarray:
    """A copy of checked scores with -inf where an item may not be ranked."""
    scores = check_scores(scores, out.shape, source)
    return np.where(out, scores.dtype.type(-np.inf), scores)


def _probabilities(scores: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The chances of the items that may be ranked, given that it is one of them.

    NaN for rows that are no distribution, nor part of one; -inf counts as 0.
    """
    chances = np.where(np.isneginf(scores), 0.0, scores).astype(np.float64)
    wrong = (chances < 0).any(axis=1) | (chances.sum(axis=1) > 1 + 1e-4)
    chances[out] = 0.0
    total = chances.sum(axis=1)
    chances[wrong | (total <= 0)] = np.nan
    return chances / np.where(total > 0, total, 1.0)[:, None]


def _satisfied(metric: str) -> bool:
    """Whether it is a metric that only a true oracle can give."""
    return metric.startswith("satisfaction@")


def _mean(values: np.ndarray) -> float:
    """Mean over the users who have the value; NaN where none has."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _in_order(metrics: dict[str, float], ks: tuple[int, ...]) -> dict[str, float]:
    """The metrics in the order of ``LABELS``, each at every k."""
    names = [f"{base}@{k}" for base in LABELS for k in ks]
    return {name: metrics[name] for name in names if name in metrics}


def _intervals(
    per_user: dict[str, np.ndarray], draws: int, seed: int
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap interval of every per-user metric, all on the same draws of users."""
    if not draws or not per_user:
        return {}
    low, high = bootstrap_interval(
        np.stack(list(per_user.values()), axis=1), n_resamples=draws, seed=seed
    )
    return {name: (float(a), float(b)) for name, a, b in zip(per_user, low, high, strict=True)}


def _oracle_figures(
    oracle: Report,
    split: Split,
    on: str,
    sampled_negatives: int | None,
    filter_viewed: bool,
    ks: tuple[int, ...],
) -> dict[str, float]:
    """hr and ndcg of an oracle's report, which must answer the same questions."""
    ranking = "full" if sampled_negatives is None else f"sampled:{sampled_negatives}"
    wanted = (split.hash, on, ranking, filter_viewed)
    given = (oracle.split_hash, oracle.on, oracle.ranking, oracle.filter_viewed)
    names = [f"{base}@{k}" for k in ks for base in ("hr", "ndcg")]
    if wanted != given or any(name not in oracle.metrics for name in names):
        raise ValueError(
            f"the oracle's report answers other questions: it has {given} at k {oracle.k}, wanted "
            f"{wanted} at k {ks} (split_hash, on, ranking, filter_viewed)"
        )
    return {name: oracle.metrics[name] for name in names}
