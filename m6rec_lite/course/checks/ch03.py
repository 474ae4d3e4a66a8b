"""Exercises of chapter 03: gradients, fold-in, BPR; the slips of steps come from beside."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.checks.slips_of_steps import ADAM_SLIP, SIGN_SLIP
from m6rec_lite.course.exercises import Case, Exercise, KnownWrong

# 03.1 The gradient with its penalty


def _ratings(seed: int, users: int = 4, items: int = 3, factors: int = 2) -> tuple:
    """R with gaps, known, mu, U, V; every item and user has a rating, some have more."""
    rng = np.random.default_rng(seed)
    known = rng.random((users, items)) < 0.6
    known[:, 0], known[0] = True, True
    known[1, 1] = False
    ratings = np.where(known, rng.integers(1, 6, known.shape), np.nan)
    factors_ = rng.normal(size=(users, factors)), rng.normal(size=(items, factors))
    return (ratings, known, float(np.nanmean(ratings)), *factors_)


_R, _KNOWN, _MU, _U, _V = _ratings(0)


def _errors(ratings: np.ndarray, known: np.ndarray, mu: float, u: np.ndarray, v: np.ndarray):
    return np.where(known, np.nan_to_num(ratings) - mu - u @ v.T, 0.0)


def _gradient(
    sign: float = -1.0, factor: float = 1.0, often: Callable | None = None
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """The gradients; ``often`` turns the counts of ratings into the weights of the penalty."""

    def gradients(ratings, known, mu, u, v, lam):
        e = _errors(ratings, known, mu, u, v)
        n_u, n_v = known.sum(axis=1)[:, None], known.sum(axis=0)[:, None]
        if often is not None:
            n_u, n_v = often(n_u), often(n_v)
        return (
            sign * factor * e @ v + factor * lam * n_u * u,
            sign * factor * e.T @ u + factor * lam * n_v * v,
        )

    return gradients


def _gaps_as_zero(ratings, known, mu, u, v, lam):
    everywhere = np.ones_like(known)
    full = np.nan_to_num(ratings)
    penalty = _gradient()(full, known, mu, u, v, lam)
    errors = _gradient()(full, known, mu, u, v, 0.0)
    gaps = _gradient()(full, everywhere, mu, u, v, 0.0)
    return tuple(p - e + g for p, e, g in zip(penalty, errors, gaps, strict=True))


def _by_loop(ratings, known, mu, u, v, lam):
    du, dv = np.zeros_like(u), np.zeros_like(v)
    for i, j in zip(*np.nonzero(known), strict=True):
        e = ratings[i, j] - mu - u[i] @ v[j]
        du[i] += lam * u[i] - e * v[j]
        dv[j] += lam * v[j] - e * u[i]
    return du, dv


GRADIENT = Exercise(
    id="03.1",
    title="The gradient with its penalty",
    answer="mf_gradients",
    cases=(
        Case(
            args=(_R, _KNOWN, _MU, _U, _V, 0.0),
            wanted=_by_loop(_R, _KNOWN, _MU, _U, _V, 0.0),
            note="no penalty",
        ),
        Case(args=(_R, _KNOWN, _MU, _U, _V, 0.5), wanted=_by_loop(_R, _KNOWN, _MU, _U, _V, 0.5)),
        Case(args=(*_ratings(1), 0.1), wanted=_by_loop(*_ratings(1), 0.1)),
    ),
    known_wrong=(
        KnownWrong(
            _gradient(sign=1.0),
            "The error terms have the wrong sign: E is r minus the guess, so the guess stands in "
            "it with a minus, and the chain rule brings that out: -E V, and -E' U.",
        ),
        KnownWrong(
            _gradient(often=np.ones_like),
            "The penalty is charged once for each rating, so its gradient is lam * n_u * U with "
            "n_u the number of ratings: known.sum(axis=1).",
        ),
        KnownWrong(
            _gradient(often=np.zeros_like), "The penalty is missing: lam * n_u * U, lam * n_v * V."
        ),
        KnownWrong(
            _gradient(factor=2.0),
            "Everything is twice too large: the loss is half the sum of squares, and the half "
            "cancels the 2.",
        ),
        KnownWrong(
            _gradient(often=lambda n: 2 * n),
            "The penalty is twice too large: the half in front of the loss covers it too.",
        ),
        KnownWrong(
            _gaps_as_zero,
            "Empty cells are counted as errors: nobody gave 0 stars there. Set E to 0 where "
            "`known` is false.",
        ),
    ),
    correct_alternatives=(_by_loop, _gradient()),
    hints=(
        "Make E first: np.where(known, R - (mu + U @ V.T), 0.0).",
        "dU is -E @ V plus the penalty's part. What is its shape, and what is that of dV?",
        "n_u = known.sum(axis=1)[:, None] makes a column that multiplies the rows of U.",
    ),
    notice="A check by differences of the loss would have found each of the slips: the sign as "
    "-1, a lost half as a factor of 2, and a forgotten n_u as no single factor at all.",
)


# 03.4 Fold somebody in

_Y = np.random.default_rng(3).normal(size=(7, 3))


def _folded(
    base: float = 1.0, extra: float = 0.0, pull: float = 1.0, ridge: float = 1.0
) -> Callable[..., np.ndarray]:
    """x with the parts of the equations weighted: 1, 0, 1, 1 is right."""

    def fold_in(taken, y, alpha, lam):
        z = y[list(taken)]
        left = base * y.T @ y + (alpha + extra) * z.T @ z + ridge * lam * np.eye(y.shape[1])
        return np.linalg.solve(left, (1 + pull * alpha) * z.sum(axis=0))

    return fold_in


def _mean_vector(taken, y, alpha, lam):
    return y[list(taken)].mean(axis=0) if len(taken) else np.zeros(y.shape[1])


def _cell_by_cell(taken, y, alpha, lam):
    left, right = lam * np.eye(y.shape[1]), np.zeros(y.shape[1])
    for i, vector in enumerate(y):
        c = 1 + alpha * (i in set(taken))
        left += c * np.outer(vector, vector)
        right += c * (i in set(taken)) * vector
    return np.linalg.solve(left, right)


FOLD_IN = Exercise(
    id="03.4",
    title="Fold somebody in",
    answer="fold_in",
    cases=(
        Case(
            args=([0], np.array([[1.0], [0.5], [0.0]]), 3.0, 1.0),
            wanted=[4 / 5.25],
            note="the case worked out in chapter 03",
        ),
        Case(args=([1, 4], _Y, 5.0, 0.5), wanted=_cell_by_cell([1, 4], _Y, 5.0, 0.5)),
        Case(
            args=([2, 3, 6], _Y, 0.5, 4.0),
            wanted=_cell_by_cell([2, 3, 6], _Y, 0.5, 4.0),
            note="little confidence, much penalty",
        ),
        Case(args=([], _Y, 5.0, 0.5), wanted=np.zeros(3), note="somebody new"),
    ),
    known_wrong=(
        KnownWrong(
            _folded(base=0.0),
            "Only what was taken is in your equations. The cells that were not taken count as "
            "well, with confidence 1 and preference 0: they bring Y'Y to the left side.",
        ),
        KnownWrong(
            _folded(extra=1.0),
            "Items that were taken are counted twice on the left: they are in Y'Y already, so "
            "only alpha is added for them, not 1 + alpha.",
        ),
        KnownWrong(
            _folded(pull=0.0),
            "The right side lacks the confidence: it is the sum of (1 + alpha) y over what was "
            "taken.",
        ),
        KnownWrong(
            _folded(ridge=0.0),
            "The penalty is missing: add lam times the identity on the left.",
        ),
        KnownWrong(
            _mean_vector,
            "That is the mean of the vectors of what was taken. It lies in the right direction "
            "and has the wrong length: solve the equations.",
        ),
    ),
    correct_alternatives=(_cell_by_cell, _folded()),
    hints=(
        "Left: Y'Y + alpha Z'Z + lam I, with Z the rows of Y that were taken.",
        "Right: (1 + alpha) times the sum of the rows of Z. It is 0 for an empty list.",
        "Z = Y[taken], also for an empty list; then np.linalg.solve(left, right).",
    ),
    notice="An empty history gives 0 exactly, for every score alike: the model itself says that "
    "it knows nothing. No refit was needed for anybody.",
)


# 03.5 The gradient of BPR


def _bpr(
    sign: float = 1.0, turned: bool = False, other: float = -1.0, slope: float | None = None
) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Gradients of -ln sigmoid(u . (v_i - v_j)), with what usually goes wrong as options."""

    def gradients(u, v_i, v_j):
        ahead = u @ (v_i - v_j)
        chance = 1 / (1 + np.exp(-ahead if turned else ahead))  # sigmoid(-ahead)
        d = -sign * (chance if slope is None else slope)
        return d * (v_i - v_j), d * u, other * d * u

    return gradients


def _bpr_by_differences(u, v_i, v_j, h=1e-6):
    theta = [np.array(x, dtype=float) for x in (u, v_i, v_j)]
    grads = []
    for x in theta:
        g = np.zeros_like(x)
        for k in range(len(x)):
            ends = []
            for move in (h, -2 * h):
                x[k] += move
                ends.append(np.logaddexp(0, -theta[0] @ (theta[1] - theta[2])))
            x[k] += h
            g[k] = (ends[0] - ends[1]) / (2 * h)
        grads.append(g)
    return tuple(grads)


def _triple(seed: int, size: float = 1.0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(size * rng.normal(size=4) for _ in range(3))


BPR_GRADIENT = Exercise(
    id="03.5",
    title="The gradient of BPR",
    answer="bpr_gradients",
    cases=(
        Case(
            args=(np.array([1.0]), np.array([1.0]), np.array([0.0])),
            wanted=_bpr()(np.array([1.0]), np.array([1.0]), np.array([0.0])),
            note="one ahead: the slope is 0.269",
        ),
        Case(args=_triple(0), wanted=_bpr()(*_triple(0))),
        Case(args=_triple(1, 0.5), wanted=_bpr()(*_triple(1, 0.5))),
    ),
    known_wrong=(
        KnownWrong(
            _bpr(sign=-1.0),
            "The sign is turned: these are the gradients of +ln sigmoid, which is to be climbed. "
            "The loss is -ln sigmoid, so dL/ds_i is negative.",
        ),
        KnownWrong(
            _bpr(turned=True),
            "The slope is sigmoid of minus the difference: pairs in the wrong order must push "
            "hardest. Yours pushes hardest where the order is right already.",
        ),
        KnownWrong(
            _bpr(other=1.0),
            "v_j moves the same way as v_i, so that the two are not parted. s_j stands in the loss "
            "with the opposite sign.",
        ),
        KnownWrong(
            _bpr(slope=1.0),
            "The slope is 1 whatever the scores: the sigmoid is missing from the chain rule.",
        ),
    ),
    correct_alternatives=(_bpr(), _bpr_by_differences),
    hints=(
        "Let x = u . (v_i - v_j). What is the derivative of -ln sigmoid(x) by x?",
        "It is -sigmoid(-x). Then x by u is v_i - v_j, by v_i is u, by v_j is -u.",
        "slope = -1 / (1 + np.exp(x)); return slope * (v_i - v_j), slope * u, -slope * u.",
    ),
    tolerance=1e-5,
    notice="All three gradients share one number, the slope. It fades where the order is right, so "
    "training spends itself on pairs in the wrong order.",
)


EXERCISES = (GRADIENT, SIGN_SLIP, ADAM_SLIP, FOLD_IN, BPR_GRADIENT)
