"""Exercise ``slate_ips``: the clicks of another page, from the log of this one."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Pair = tuple[float, float]


def _of_slates(clicks: np.ndarray, ddof: int = 1) -> Pair:
    """Mean over slates, and its standard error."""
    return float(clicks.mean()), float(clicks.std(ddof=ddof) / np.sqrt(len(clicks)))


def _slate_ips(rewards: np.ndarray, propensities: np.ndarray, target: np.ndarray) -> Pair:
    """The right answer."""
    return _of_slates((target / propensities * rewards).sum(axis=1))


def _by_rows(rewards: np.ndarray, propensities: np.ndarray, target: np.ndarray) -> Pair:
    terms = (target / propensities * rewards).ravel()
    k = rewards.shape[1]
    return float(terms.mean() * k), float(terms.std(ddof=1) * k / np.sqrt(len(terms)))


def _normalised(rewards: np.ndarray, propensities: np.ndarray, target: np.ndarray) -> Pair:
    weights = target / propensities
    return float((weights * rewards).sum() / weights.sum()), _slate_ips(
        rewards, propensities, target
    )[1]


def _matching(rewards: np.ndarray, propensities: np.ndarray, target: np.ndarray) -> Pair:
    shown = (target > 0).any(axis=1)
    return _of_slates((target / propensities * rewards)[shown].sum(axis=1))


def _turned(rewards: np.ndarray, propensities: np.ndarray, target: np.ndarray) -> Pair:
    with np.errstate(divide="ignore", invalid="ignore"):
        return _slate_ips(rewards, target, propensities)


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(0)
    rewards = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    propensities = np.array([[0.5, 0.25], [0.5, 0.5], [0.1, 0.5]])
    shown = np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    spread = np.array([[0.25, 0.5], [0.5, 0.25], [0.2, 0.5]])
    many = (
        rng.integers(0, 2, (6, 3)).astype(float),
        rng.choice([0.1, 0.2, 0.5], (6, 3)),
        rng.choice([0.0, 0.1, 0.5], (6, 3)),
    )
    rows = (
        (rewards, propensities, shown, "a policy that always shows one list"),
        (rewards, propensities, propensities, "the logging policy itself"),
        (rewards, propensities, spread, "a policy that draws"),
        (*many, "six slates of three positions"),
    )
    return tuple(Case((*args,), _slate_ips(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="slate_ips",
    title="The clicks of another page, from the log of this one",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda r, p, q: _slate_ips(r, 1 / p, q),
            "The rewards are multiplied by the propensities. What was shown rarely stands for many "
            "slates: divide.",
        ),
        KnownWrong(
            _turned,
            "The ratio is turned: it is the target policy's probability over the log's.",
        ),
        KnownWrong(
            lambda r, p, q: _slate_ips(r, p, np.ones_like(q)),
            "The target policy is not used: 1 / p alone is a policy that shows everything.",
        ),
        KnownWrong(
            _by_rows,
            "The standard error takes the positions of a slate for independent rows. Sum each "
            "slate first; slates are the sample.",
        ),
        KnownWrong(
            lambda r, p, q: _of_slates((q / p * r).mean(axis=1)),
            "That is the reward a position. A slate earns the sum of its positions.",
        ),
        KnownWrong(
            _normalised,
            "The sum is divided by the weights: the self-normalised estimate of one row. IPS "
            "divides by the number of slates.",
        ),
        KnownWrong(
            _matching,
            "Slates without a matching item are left out. They count as 0: that the log seldom "
            "shows what the policy shows is what the weights correct for.",
        ),
        KnownWrong(
            lambda r, p, q: _of_slates((q / p * r).sum(axis=1), ddof=0),
            "The standard deviation divides by n. From a sample divide by n - 1 (ddof=1).",
        ),
    ),
    hints=(
        "What is the weight of one logged item? The target's probability over the log's.",
        "clicks = (target / propensities * rewards).sum(axis=1): one number a slate.",
        "Return clicks.mean() and clicks.std(ddof=1) / sqrt(number of slates).",
    ),
    notice="In the first case two of three slates count at all, and one of them with weight 2: an "
    "estimate from a log can have few effective rows.",
)
