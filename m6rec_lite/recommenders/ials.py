"""Implicit ALS: factorize all user-item cells, with a low confidence in the empty ones.

Source: Hu, Koren and Volinsky, *Collaborative filtering for implicit feedback datasets*, 2008.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy import sparse
from tqdm.auto import tqdm

from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.tables import EVENTS
from m6rec_lite.recommenders.base import Recommender, recency_weights
from m6rec_lite.recommenders.least_squares import solve_cg, solve_exact
from m6rec_lite.recommenders.params import check_in_range, check_whole
from m6rec_lite.recommenders.ranking import cosine_to

#: Entries x factors x iterations from which ``backend="auto"`` uses numba, which needs some seconds
#: to compile; numpy needs about two seconds for this amount of work.
_WORTH_COMPILING = 5e8

_CHOICES = {
    "solver": ("cg", "exact"),
    "backend": ("auto", "numpy", "numba"),
    "dtype": ("float32", "float64"),
}


@dataclass(eq=False, repr=False)
class IALS(Recommender):
    """Factorize all cells of the user-item matrix, each weighted by its confidence.

    The preference ``p_ui`` is 1 if user u interacted with item i and 0 otherwise; the confidence is
    ``c_ui = 1 + alpha r_ui``, where ``r_ui`` is 1 for an interaction (or its weight, see
    ``event_weights``) and 0 otherwise. The objective to minimise is

    ``sum over all u, i of c_ui (p_ui - x_u . y_i)^2 + lambda (sum |x_u|^2 + sum |y_i|^2)``

    (equation 3). With Y fixed this is a ridge regression for every x_u, and vice versa, so that no
    half-step increases the objective. Only the items of user u need a sum, since
    ``Y'C_u Y = Y'Y + Y'(C_u - I)Y`` (section 4).

    To score a history, its x is computed by *fold-in*: the exact solution with Y fixed. A new user
    or a longer history needs no refit. An empty history has x = 0 and gets the scores of
    popularity; an item without training rows has y = 0 and scores 0.

    Args:
        factors: length of the vectors x and y.
        regularization: lambda, above 0.
        alpha: additional confidence of an interaction, 0 or more. (The library ``implicit`` defines
            ``c = alpha r`` for interactions: its alpha equals this alpha plus 1.)
        iterations: number of rounds; a round updates all users, then all items.
        decay: factor on the preference of an event for each step back in the history, in (0, 1];
            used for scoring, not for training. 1 is the published model.
        solver: ``"cg"``: a few conjugate-gradient steps, starting from the previous factors;
            ``"exact"``: Cholesky factorization, slower with many factors.
        cg_steps: steps of the solver ``"cg"``.
        event_weights: r of a row by its event, such as ``{"view": 0.5, "purchase": 3}``; rows of
            the same pair are added up, and other events have weight 1. None: r is always 1.
        backend: backend of the solver ``"cg"``: ``"numpy"``; ``"numba"`` (the ``fast`` extra); or
            ``"auto"``: numba if it is installed and the data are large.
        threads: number of threads of numba; None uses all cores. The factors do not depend on it.
        dtype: type of the factors.
        seed: seed of the initial factors.

    Attributes:
        user_factors_: ``(n_users, factors)``, X of the training users.
        item_factors_: ``(n_items, factors)``, Y.
    """

    factors: int = 64
    regularization: float = 10.0
    alpha: float = 1.0
    iterations: int = 15
    decay: float = 1.0
    solver: Literal["cg", "exact"] = "cg"
    cg_steps: int = 3
    event_weights: Mapping[str, float] | None = None
    backend: Literal["auto", "numpy", "numba"] = "auto"
    threads: int | None = None
    dtype: Literal["float32", "float64"] = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        self.factors = check_whole("factors", self.factors)
        check_in_range("regularization", self.regularization, 0, open_low=True)
        check_in_range("alpha", self.alpha, 0)
        self.iterations = check_whole("iterations", self.iterations)
        check_in_range("decay", self.decay, 0, 1, open_low=True)
        self.cg_steps = check_whole("cg_steps", self.cg_steps)
        if self.threads is not None:
            self.threads = check_whole("threads", self.threads)
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                options = " or ".join(map(repr, allowed))
                raise ValueError(f"{name} must be {options}, got {getattr(self, name)!r}")
        for event, weight in (self.event_weights or {}).items():
            if event not in EVENTS:
                raise ValueError(f"event_weights names {event!r}; the events are {EVENTS}")
            if not (weight >= 0 and math.isfinite(weight)):
                raise ValueError(f"event_weights[{event!r}] must be 0 or more, got {weight!r}")

    def _fit(self, train: Interactions, *, progress: bool = True, **extras: Any) -> None:
        by_user = self._extra(train)  # (n_users, n_items) c - 1
        by_item = by_user.T.tocsr()
        x, y = self.start(train.n_users, train.n_items)
        solve = self._solver(by_user.nnz)
        rounds = tqdm(range(self.iterations), "IALS", disable=not progress, leave=False, delay=1)
        for _ in rounds:
            x = solve(by_user, x, y)
            y = solve(by_item, y, x)
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise FloatingPointError(f"{self!r} ended in factors that are not finite; use "
                                     "dtype='float64' or a larger regularization")  # fmt: skip
        self.user_factors_, self.item_factors_ = x, y

    def start(self, n_users: int, n_items: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the initial X and Y: small normally distributed values.

        All-positive values converge more slowly, since the vectors would be nearly parallel.
        """
        rng = np.random.default_rng(self.seed)
        x = 0.01 * rng.standard_normal((n_users, self.factors))
        y = 0.01 * rng.standard_normal((n_items, self.factors))
        return x.astype(self.dtype), y.astype(self.dtype)

    def _extra(self, rows: Interactions | Histories) -> sparse.csr_array:
        """Return ``(n, n_items)`` alpha r; an explicit 0 is still an interaction."""
        if self.event_weights is None:
            extra = rows.matrix()
        else:
            weight_of = np.array([self.event_weights.get(event, 1.0) for event in EVENTS])
            extra = rows.matrix(weight_of[rows.events])
        extra.data = (self.alpha * extra.data).astype(self.dtype)
        return extra

    def _solver(self, entries: int) -> Callable[..., np.ndarray]:
        """Return ``solve(extra, x, y) -> x``, which computes a half-step."""
        if self.solver == "exact":
            return lambda extra, x, y: self._solve_exact(extra, extra.data + 1, y)
        cg = solve_cg
        installed = importlib.util.find_spec("numba") is not None
        large = entries * self.factors * self.iterations >= _WORTH_COMPILING
        if self.backend == "numba" and not installed:
            raise ImportError("backend='numba' needs numba: pip install 'm6rec-lite[fast]'")
        if self.backend == "numba" or (self.backend == "auto" and installed and large):
            from m6rec_lite.recommenders.least_squares_compiled import solve_cg as compiled

            cg = partial(compiled, threads=self.threads)

        def solve(extra: sparse.csr_array, x: np.ndarray, y: np.ndarray) -> np.ndarray:
            ridge = np.full(len(x), self.regularization)
            cg(extra, extra.data + 1, y, y.T @ y, ridge, x, self.cg_steps)
            return x

        return solve

    def _solve_exact(self, extra: sparse.csr_array, pull: np.ndarray, y: np.ndarray) -> np.ndarray:
        ridge = np.full(extra.shape[0], self.regularization)
        return solve_exact(extra, pull, y, y.T @ y, ridge)

    def fold_in(self, histories: Histories) -> np.ndarray:
        """Compute the factors x of histories, with Y fixed.

        Returns:
            ``(n, factors)``; 0 for an empty history.
        """
        self._require_fitted()
        self._require_same_catalogue(histories.item_ids)
        extra = self._extra(histories)
        preference = np.ones(extra.nnz)
        weights = recency_weights(histories, self.decay)
        if weights is not None:
            preference = np.minimum(histories.matrix(weights).data, 1.0)
        return self._solve_exact(extra, (extra.data + 1) * preference, self.item_factors_)

    def _score(self, histories: Histories) -> np.ndarray:
        return self.fold_in(histories) @ self.item_factors_.T

    def _similarity(self, index: int) -> np.ndarray:
        return cosine_to(self.item_factors_, index)


def ials_objective(
    extra: sparse.csr_array, x: np.ndarray, y: np.ndarray, regularization: float
) -> float:
    """Compute the objective of IALS over all cells, from the interactions only.

    The sum over all cells of ``s_ui^2``, with ``s_ui = x_u . y_i``, is the inner product of
    ``X'X`` and ``Y'Y``; each interaction adds ``c (1 - s)^2 - s^2``.

    Args:
        extra: ``(n_users, n_items)``, ``c - 1`` of the interactions.
        x: ``(n_users, factors)`` user factors.
        y: ``(n_items, factors)`` item factors.
        regularization: lambda.

    Returns:
        The objective, computed in float64.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    total = float(((x.T @ x) * (y.T @ y)).sum())
    for start in range(0, len(x), 1024):
        block = extra[start : start + 1024].tocoo()
        s = np.einsum("ef,ef->e", x[start + block.row], y[block.col])
        total += float(((1 + block.data) * (1 - s) ** 2 - s**2).sum())
    return total + regularization * float((x**2).sum() + (y**2).sum())
