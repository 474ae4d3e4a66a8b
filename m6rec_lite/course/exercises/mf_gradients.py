"""Exercise ``mf_gradients``: the gradient with its penalty."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


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


def _nan_errors(ratings, known, mu, u, v, lam):
    e = known * (ratings - mu - u @ v.T)
    n_u, n_v = known.sum(axis=1)[:, None], known.sum(axis=0)[:, None]
    return lam * n_u * u - e @ v, lam * n_v * v - e.T @ u


def _gaps_as_zero(ratings, known, mu, u, v, lam):
    everywhere = np.ones_like(known)
    full = np.nan_to_num(ratings)
    penalty = _gradient()(full, known, mu, u, v, lam)
    errors = _gradient()(full, known, mu, u, v, 0.0)
    gaps = _gradient()(full, everywhere, mu, u, v, 0.0)
    return tuple(p - e + g for p, e, g in zip(penalty, errors, gaps, strict=True))


EXERCISE = Exercise(
    id="mf_gradients",
    title="The gradient with its penalty",
    cases=(
        Case(
            args=(_R, _KNOWN, _MU, _U, _V, 0.0),
            expected=_gradient()(_R, _KNOWN, _MU, _U, _V, 0.0),
            note="no penalty",
        ),
        Case(
            args=(_R, _KNOWN, _MU, _U, _V, 0.5), expected=_gradient()(_R, _KNOWN, _MU, _U, _V, 0.5)
        ),
        Case(args=(*_ratings(1), 0.1), expected=_gradient()(*_ratings(1), 0.1)),
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
            "Empty cells are counted as errors: there is no rating of 0 stars. Set E to 0 where "
            "`known` is false.",
        ),
        KnownWrong(
            lambda ratings, known, mu, u, v, lam: _gradient()(ratings, known, 0.0, u, v, lam),
            "mu is missing from the guess: it is mu + U V'.",
        ),
        KnownWrong(
            _nan_errors,
            "NaN spreads from the empty cells: multiplying by `known` does not help, for 0 times "
            "NaN is NaN. Choose with np.where.",
        ),
        KnownWrong(
            lambda *a: (_gradient()(*a)[0], _gradient()(*a)[1].T),
            "dV is transposed: it has the shape of V, (items, f), a row for each item.",
        ),
    ),
    hints=(
        "Make E first: np.where(known, R - (mu + U @ V.T), 0.0).",
        "dU is -E @ V plus the penalty's part. What is its shape, and what is that of dV?",
        "n_u = known.sum(axis=1)[:, None] makes a column that multiplies the rows of U.",
    ),
    notice="A check by differences of the loss would have found each of the mistakes: the sign as "
    "-1, a lost half as a factor of 2, and a forgotten n_u as no single factor at all.",
)
