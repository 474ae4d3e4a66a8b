"""The evaluation protocol: every model ranks all items that its user has not seen.

``evaluate`` computes a model's scores batch by batch, excludes the items that may not be ranked,
and computes the metrics. A model is any object with ``item_ids`` and ``score(histories)``.
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
from m6rec_lite.data.seeds import check_seed
from m6rec_lite.data.tables import NotFittedError
from m6rec_lite.evaluation.beyond_accuracy import BeyondAccuracy
from m6rec_lite.evaluation.costs import Cost, Meter, measure_fit
from m6rec_lite.evaluation.questions import Questions, all_but_sample
from m6rec_lite.evaluation.ranking import TargetRanks, accuracy, check_k, check_scores, hr, ndcg
from m6rec_lite.evaluation.report import LABELS, Report
from m6rec_lite.evaluation.significance import bootstrap_interval


@runtime_checkable
class Ranker(Protocol):
    """Interface of a model that can be evaluated."""

    @property
    def item_ids(self) -> np.ndarray | None:
        """The ids of the items in the order of the scores; None before the model is fitted."""

    def score(self, histories: Histories) -> np.ndarray:
        """Return scores ``(n_histories, n_items)``, columns in the order of ``item_ids``."""


@dataclass(frozen=True, eq=False)
class FixedScores:
    """A model defined by a matrix of scores, to evaluate scores computed elsewhere.

    Attributes:
        item_ids: ``(n_items,)`` ascending, the ids of the columns.
        user_ids: ``(n_users,)`` without repeats, the ids of the rows.
        matrix: ``(n_users, n_items)`` float.
        name: name in the report.
    """

    item_ids: np.ndarray
    user_ids: np.ndarray
    matrix: np.ndarray
    name: str = "FixedScores"

    def score(self, histories: Histories) -> np.ndarray:
        """Return the rows of the histories' users.

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
    """Evaluate a fitted model on a split: accuracy, beyond accuracy, intervals, costs.

    Every item that the user has not seen (and that is among ``split.candidates``) is ranked.
    Targets that may not be ranked are excluded and counted, and so are users without any other
    target; this depends only on the split, not on the model. Metrics under tied scores are exact
    expectations over random orders. An item scored -inf is never recommended.

    Args:
        model: a fitted model; only its ``score`` is called.
        split: the questions and the training rows.
        k: list lengths, each at least 1; values above the number of items are cut to it.
        on: ``test`` or ``validation``.
        items: an items table (domain, category, tags) or ``(n_items, n_features)`` features in the
            split's order, from which intra-list diversity is computed.
        oracle: a model that knows the truth, evaluated as a reference, or its report. If it is a
            model whose rows are probabilities, expected satisfaction is computed too: the true
            probability that the list contains the next item, given that it may be ranked.
        sampled_negatives: rank the targets among this many sampled items in place of all items.
            Only for demonstration: the metrics are much higher and can reorder models.
            Beyond-accuracy metrics are then omitted.
        filter_viewed: exclude the items of the history from the ranking.
        batch_size: largest number of histories scored at once; fewer if the catalogue is large.
        bootstrap: number of draws for the 95 % intervals; 0 for no intervals.
        seed: seed of the bootstrap, the sampled negatives and the user pairs of ``overlap``.
        progress: show a progress bar after two seconds.
        fit_cost: the result of ``measure_fit``, for the report's costs.

    Raises:
        NotFittedError: if the model is not fitted.
        TypeError: if ``split`` is not a split.
        ValueError: if k < 1, the scores have a wrong shape, NaN or +inf, the model has another
            catalogue, or no question of the split can be evaluated.
    """
    if not isinstance(split, Split):
        raise TypeError(
            f"evaluate(model, split) wants a Split, got {type(split).__name__}; make one with "
            "leave_one_out(dataset)"
        )
    ks, seed = check_k(k), check_seed(seed)
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
    values_by_metric: dict[str, list[np.ndarray]] = defaultdict(list)
    oracle_values: dict[str, list[np.ndarray]] = defaultdict(list)
    all_ranks: list[TargetRanks] = []
    predict_seconds, start, n = 0.0, 0, len(questions)
    with Meter() as meter, tqdm(
        total=n, desc=f"evaluate {name}", unit="user", delay=2, disable=not progress, leave=False
    ) as bar:  # fmt: skip
        for batch in questions.batches(batch_size):
            out = batch.out
            clock = time.perf_counter()
            scores = model.score(batch.histories)
            predict_seconds += time.perf_counter() - clock
            if sampled_negatives is not None:
                out = all_but_sample(batch, sampled_negatives, draws)
            scores = _rankable(scores, out, f"the scores of {name}")
            ranks = TargetRanks.from_scores(scores, batch.rows, batch.targets)
            all_ranks.append(ranks)
            measured = accuracy(ranks, ks)
            probabilities = None
            if oracle is not None and not isinstance(oracle, Report):
                raw = oracle.score(batch.histories)
                oracle_scores = _rankable(raw, out, "the scores of the oracle")
                oracle_ranks = TargetRanks.from_scores(oracle_scores, batch.rows, batch.targets)
                for length in ks:
                    oracle_values[f"hr@{length}"].append(hr(oracle_ranks, length))
                    oracle_values[f"ndcg@{length}"].append(ndcg(oracle_ranks, length))
                probabilities = _probabilities(raw, out)
            if beyond is not None:
                measured |= beyond.measure(scores, batch, start, probabilities)
            for metric, values in measured.items():
                values_by_metric[metric].append(values)
            start += len(batch.histories)
            bar.update(len(batch.histories))
    per_user = {metric: np.concatenate(parts) for metric, parts in values_by_metric.items()}
    satisfied = [name for name in per_user if name.startswith("satisfaction@")]
    if any(np.isnan(per_user[name]).any() for name in satisfied):  # no true probabilities
        per_user = {name: v for name, v in per_user.items() if name not in satisfied}
    metrics = {metric: _mean(values) for metric, values in per_user.items()}
    if beyond is not None:
        metrics |= beyond.overall()
    reference = {key: _mean(np.concatenate(parts)) for key, parts in oracle_values.items()} or None
    if isinstance(oracle, Report):
        reference = _oracle_figures(oracle, split, on, sampled_negatives, filter_viewed, ks)
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
        ranking=_ranking(sampled_negatives),
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
        oracle=reference,
        oracle_share=None if reference is None else {
            metric: metrics[metric] / value if value > 0 else float("nan")
            for metric, value in reference.items()
        },
        ranks=TargetRanks.concatenate(all_ranks),
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
    """Fit a recommender on the split's training rows, measure the cost, and ``evaluate`` it.

    Args:
        model: a recommender; it is fitted in place.
        split: training rows and questions.
        items: the items table, for the model and for diversity.
        users: the users table, for the model.

    The other arguments are as in ``evaluate``.
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
    """Raise unless the model is fitted and ranks the catalogue of the split."""
    if not isinstance(model, Ranker):
        raise ValueError(f"{type(model).__name__} has no item_ids or no score(histories)")
    name = getattr(model, "name", type(model).__name__)
    if model.item_ids is None:
        raise NotFittedError(f"{name} is not fitted: call fit(split.train) first")
    if not np.array_equal(model.item_ids, split.item_ids):
        unknown = np.setdiff1d(split.item_ids, model.item_ids)
        surplus = np.setdiff1d(model.item_ids, split.item_ids)
        raise ValueError(
            f"{name} ranks {len(model.item_ids)} items that are not the {len(split.item_ids)} of "
            f"this split: {len(unknown)} it does not know {unknown[:3].tolist()}, {len(surplus)} "
            f"that the split lacks {surplus[:3].tolist()}. Fit it on split.train to compare "
            "models; to recommend from histories with new items use recommend(histories, "
            'unknown="drop")'
        )


def _rankable(scores: np.ndarray, out: np.ndarray, source: str) -> np.ndarray:
    """Check scores and return a copy with -inf for excluded items."""
    scores = check_scores(scores, out.shape, source)
    return np.where(out, scores.dtype.type(-np.inf), scores)


def _probabilities(scores: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Return probabilities conditional on the items that may be ranked.

    NaN for rows that are not probabilities (negative, or a sum above 1); -inf counts as 0.
    """
    probabilities = np.where(np.isneginf(scores), 0.0, scores).astype(np.float64)
    wrong = (probabilities < 0).any(axis=1) | (probabilities.sum(axis=1) > 1 + 1e-4)
    probabilities[out] = 0.0
    total = probabilities.sum(axis=1)
    probabilities[wrong | (total <= 0)] = np.nan
    return probabilities / np.where(total > 0, total, 1.0)[:, None]


def _ranking(sampled_negatives: int | None) -> str:
    """Return the value of ``Report.ranking``."""
    return "full" if sampled_negatives is None else f"sampled:{sampled_negatives}"


def _mean(values: np.ndarray) -> float:
    """Return the mean over the values that are not NaN; NaN if there is none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def _in_order(metrics: dict[str, float], ks: tuple[int, ...]) -> dict[str, float]:
    """Sort metrics in the order of ``LABELS``, each at every k."""
    names = [f"{base}@{k}" for base in LABELS for k in ks]
    return {name: metrics[name] for name in names if name in metrics}


def _intervals(
    per_user: dict[str, np.ndarray], draws: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return the 95 % bootstrap interval of each per-user metric, all from the same draws."""
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
    """Return hr and ndcg of an oracle's report, which must have the same questions."""
    expected = (split.hash, on, _ranking(sampled_negatives), filter_viewed)
    actual = (oracle.split_hash, oracle.on, oracle.ranking, oracle.filter_viewed)
    names = [f"{base}@{k}" for k in ks for base in ("hr", "ndcg")]
    if expected != actual or any(name not in oracle.metrics for name in names):
        raise ValueError(
            f"the oracle's report answers other questions: it has {actual} at k {oracle.k}, "
            f"expected {expected} at k {ks} (split_hash, on, ranking, filter_viewed)"
        )
    return {name: oracle.metrics[name] for name in names}
