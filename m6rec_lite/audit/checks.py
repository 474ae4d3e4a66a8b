"""The checks of an audit: each takes an ``Experiment`` and returns what a ``Finding`` holds.

Thresholds are conventions, stated in each docstring. ``pass`` means that this fault was looked for
and not found, ``cannot be told`` that the files do not hold what the check needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from m6rec_lite.audit.experiment import Experiment
from m6rec_lite.evaluation.significance import bootstrap_interval, bootstrap_means, paired_test

Verdict = Literal["pass", "warning", "fail", "cannot be told"]
PASS: Verdict = "pass"
WARNING: Verdict = "warning"
FAIL: Verdict = "fail"
UNKNOWN: Verdict = "cannot be told"

#: Verdict, sentence and number of a check.
Judged = tuple[Verdict, str, float]
Outcome = tuple[Verdict, str] | Judged

#: An item with fewer other users than this is rare.
RARE = 5
#: Fewer questions than this are too few for a rate.
FEW = 20


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        check: name of the check, a key of ``CHECKS``.
        verdict: ``pass``, ``warning``, ``fail`` or ``cannot be told``.
        sentence: what was found, and what to do.
        number: the figure behind the verdict; None if there is none.
    """

    check: str
    verdict: Verdict
    sentence: str
    number: float | None = None


def _judge(number: float, warn: float, fail: float, sentence: str, advice: str) -> Judged:
    """Pass up to ``warn``, warn up to ``fail``, fail above it; advise unless it passes."""
    verdict = PASS if number <= warn else WARNING if number <= fail else FAIL
    return verdict, f"{sentence}." if verdict == PASS else f"{sentence}: {advice}.", number


def candidates(e: Experiment) -> Outcome:
    """Compare the number of ranked items with the catalogue.

    Warns if a fifth of it was not ranked, fails for a half. Lists that always contain the target
    were chosen with the answer at hand.
    """
    if "candidates" in e.rows:
        n = float(e.rows["candidates"].median())
    else:
        sizes = e.rows.groupby(["run", "question"]).size()
        n, always = float(sizes.median()), len(e.target_rows) == len(sizes) >= FEW
        if not always and n < 0.8 * e.n_items:
            return UNKNOWN, "Lists do not say what they chose from; give scores, or candidates."
    seen = len(e.past) / max(e.log.n_users, 1)
    missing = max(0.0, 1 - n / max(e.n_items - seen, 1))
    sentence = f"{missing:.0%} of the items were not ranked ({n:,.0f} were)"
    advice = "sampled negatives raise every metric and can turn the order; rank all items"
    return _judge(missing, 0.2, 0.5, sentence, advice)


def repeats(e: Experiment) -> Outcome:
    """Count recommended items of the user's own past, and items twice in a list.

    Fails above one in a hundred; only warns if targets are from the past, too.
    """
    if e.form == "targets":
        return UNKNOWN, "Ranks of targets do not say what was recommended."
    top = e.rows[(e.rows["above"] < e.k) & (e.rows["item"] >= 0)]
    if twice := float(top.duplicated(["run", "question", "item"]).mean()):
        return FAIL, f"{twice:.1%} of the recommended items are twice in one list.", twice
    pairs = e.past.users.astype(np.int64) * e.log.n_items + e.past.items
    shown = e.users[top["question"]].astype(np.int64) * e.log.n_items + top["item"]
    own = float(np.isin(shown, pairs).mean()) if len(top) else 0.0
    sentence = f"{own:.1%} of the recommended items are from their user's own past"
    if e.n_askable is None and (asked := float(e.repeated.mean())) > 0.01:
        advice = f"so are {asked:.1%} of the targets; report new items apart"
        return _judge(own, 0, 1, sentence, advice)
    return _judge(own, 0, 0.01, sentence, "no target is; filter them out")


def users(e: Experiment) -> Outcome:
    """Count users without a list: warns if there are any, fails above a fifth."""
    if out := float(1 - e.answered.all(axis=0).mean()):
        return FAIL, f"The models answer different users: {out:.1%} are not answered by all.", out
    if e.n_askable is None:
        return UNKNOWN, f"{len(e):,} users were asked; how many were left out is not known."
    out = 1 - len(e) / e.n_askable
    advice = "who was left out? Count them as misses"
    return _judge(out, 0, 0.2, f"{out:.1%} of the users with a target have no list", advice)


def future(e: Experiment) -> Outcome:
    """Count targets that are followed by other events of their user.

    Above one user in twenty it fails if the training rows hold such events, else warns.
    """
    if not e.log.has_time:
        return UNKNOWN, "Without times the later events are unknown."
    at = np.full(e.log.n_users, np.nan)
    at[e.users] = e.target_times
    rows = e.log if e.train is None else e.train
    who = pd.Index(e.log.user_ids).get_indexer(rows.user_ids)[rows.users]
    later = (who >= 0) & (rows.timestamps > at[who])
    share = len(np.unique(who[later])) / len(e)
    where = "the log" if e.train is None else "the training rows"
    sentence = f"{share:.1%} of the users have later events than their target in {where}"
    advice = "a random split? The training rows would tell" if e.train is None else "split by time"
    return _judge(share, 0.05, 0.05 if e.train is not None else 1, sentence, advice)


def training(e: Experiment) -> Outcome:
    """Look for the targets among the training rows: fails above one in a hundred.

    A target that its user also took before (a repeat) does not count.
    """
    if e.train is None:
        return UNKNOWN, "Without the training rows leaked answers cannot be seen; give them."
    t = e.train
    pairs = set(zip(t.user_ids[t.users].tolist(), t.item_ids[t.items].tolist(), strict=True))
    asked = zip(e.log.user_ids[e.users].tolist(), e.log.item_ids[e.targets].tolist(), strict=True)
    share = float((np.array([pair in pairs for pair in asked]) & ~e.repeated).mean())
    sentence = f"{share:.1%} of the targets are among the training rows"
    return _judge(share, 0, 0.01, sentence, "the answers were learned")


def query_time(e: Experiment) -> Outcome:
    """Compare the moment that the model was asked for with the target's own timestamp."""
    if e.query_times is None or not e.log.has_time:
        return UNKNOWN, "Without query_time it is unknown whether models read the answer's moment."
    known = ~np.isnan(e.target_times)
    late = float((e.query_times > e.target_times)[known].mean())
    if late > 0:
        return FAIL, f"{late:.1%} of the questions were asked after their answer.", late
    same = float((e.query_times == e.target_times)[known].mean())
    sentence = f"{same:.1%} of the questions were asked at the very second of their answer"
    return _judge(same, 0.05, 1, sentence, "compare with time-aware models only")


def ties(e: Experiment) -> Outcome:
    """Compare HR@k with the target first and last among items of its score.

    Warns if the two differ by more than .001, fails above .01; fractional ranks fail.
    """
    rows = e.target_rows
    if share := float((rows["above"] % 1 > 0).mean()) if len(rows) else 0.0:
        advice = "an average rank flatters whoever ties many items; take the expectation"
        return FAIL, f"{share:.1%} of the targets have a fractional rank: {advice}.", share
    if e.form != "scores" and (rows["tied"] == 1).all():
        return UNKNOWN, "Ranks do not say whether items were tied; give scores, or a column tied."
    first, last = (rows["above"] + extra < e.k for extra in (0, rows["tied"] - 1))
    spread = float((first.astype(int) - last).groupby(rows["run"]).sum().max() / len(e))
    sentence = f"HR@{e.k} changes by {spread:.4f} with the order of tied scores"
    return _judge(spread, 0.001, 0.01, sentence, "report the expectation over the orders")


def order(e: Experiment) -> Outcome:
    """Count targets with the timestamp of another event: warns above a tenth of the users."""
    if not e.log.has_time:
        return UNKNOWN, "The log has no times: the order of its rows decides the target."
    at = np.full(e.log.n_users, np.nan)
    at[e.users] = e.target_times
    tied = e.past.users[e.past.timestamps == at[e.past.users]]
    share = len(np.unique(tied)) / len(e)
    sentence = f"{share:.1%} of the targets have the timestamp of another event of their user"
    return _judge(share, 0.1, 1, sentence, "the order of the file decides; state the tie rule")


def _difference(e: Experiment, values: np.ndarray, name: str) -> Outcome:
    """Compare the best model with other values, user by user; warn unless it is above."""
    if len(e) < FEW:
        return UNKNOWN, f"{len(e)} users are too few to compare."
    test = paired_test(e.ndcg[e.best], values)
    sentence = f"NDCG@{e.k} of {e.models[e.best]}, less {name}: {test.mean_difference:+.4f} "
    sentence += f"[{test.low:+.4f}, {test.high:+.4f}]"
    verdict = PASS if test.low > 0 else FAIL if test.high < 0 else WARNING
    end = "." if verdict == PASS else ", which is not above."
    return verdict, sentence + end, test.mean_difference


def baseline(e: Experiment) -> Outcome:
    """Compare the best model with the most popular items of the past."""
    if candidates(e)[0] == FAIL:
        return UNKNOWN, "Ranks among a part of the items cannot be compared with popularity."
    return _difference(e, e.popularity, "the most popular items")


def intervals(e: Experiment) -> Outcome:
    """Compare the best model with the best other model; of a single model, give the interval."""
    others = [i for i in range(len(e.models)) if i != e.best]
    if others:
        rival = max(others, key=lambda i: float(np.nanmean(e.ndcg[i])))
        return _difference(e, e.ndcg[rival], e.models[rival])
    low, high = bootstrap_interval(e.ndcg[e.best])
    value = f"NDCG@{e.k} {np.nanmean(e.ndcg[e.best]):.4f} [{low:.4f}, {high:.4f}], {len(e)} users"
    return PASS if len(e) >= 5 * FEW else WARNING, f"{value}.", float(high - low)


def seeds(e: Experiment) -> Outcome:
    """Count the seeds of each model: warns if a model has one."""
    if any(seed is None for _, seed in e.runs):
        return UNKNOWN, "The file has no column seed; a trained network needs several."
    names = [model for model, _ in e.runs]
    least = min(names.count(name) for name in names)
    return PASS if least > 1 else WARNING, f"Every model has at least {least} seed(s).", least


def best_of_n(e: Experiment) -> Outcome:
    """Estimate how much of the best value is luck of the choice among n models.

    Users are drawn with replacement; the winner of each draw exceeds its own mean by the optimism.
    Warns above a tenth of the standard error, fails above the whole of it.
    """
    n = len(e.models)
    if n == 1:
        return UNKNOWN, "One model: how many were tried is not in the file."
    means = bootstrap_means(e.ndcg.T)
    own = np.nanmean(e.ndcg, axis=1)[means.argmax(axis=1)]
    luck, error = float((means.max(axis=1) - own).mean()), float(means[:, e.best].std())
    sentence = f"NDCG@{e.k} of the best of {n} models is too high by about {luck:.4f}"
    verdict, text, _ = _judge(luck, error / 10, error, sentence, "choose on validation users")
    return verdict, text, luck


def cold_items(e: Experiment) -> Outcome:
    """Compare HR@k of rare targets (fewer than five other users) with that of all.

    Warns if it is less than a quarter.
    """
    others = np.bincount(e.log.items[~e.is_target], minlength=e.log.n_items)
    rare = others[e.targets] < RARE
    if (n := int(rare.sum())) < FEW:
        return UNKNOWN, f"{n} targets have fewer than {RARE} other users: too few to judge.", n
    own, overall = np.nanmean(e.hr[e.best][rare]), np.nanmean(e.hr[e.best])
    sentence = f"HR@{e.k} of {n} targets with fewer than {RARE} other users is {own:.3f}, of all "
    verdict = WARNING if own * 4 < overall else PASS
    return verdict, f"{sentence}{overall:.3f}.", float(own)


#: All checks by name, in the order of a report.
CHECKS: dict[str, Callable[[Experiment], Outcome]] = {
    check.__name__: check
    for check in (
        candidates, repeats, users, future, training, query_time, ties, order,
        baseline, intervals, seeds, best_of_n, cold_items,
    )
}  # fmt: skip

#: What a rubric grades: the checks of each criterion.
CRITERIA: dict[str, tuple[str, ...]] = {
    "protocol": ("candidates", "repeats", "users"),
    "leaks": ("future", "training", "query_time"),
    "ties": ("ties", "order"),
    "baselines": ("baseline",),
    "intervals": ("intervals", "seeds", "best_of_n"),
    "cold start": ("cold_items",),
}
