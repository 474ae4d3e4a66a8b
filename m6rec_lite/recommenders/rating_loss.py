"""The loss of explicit matrix factorization, and its gradient.

Notation: mu is the mean rating; ``b`` and ``c`` are the biases of users and items; U ``(n_users,
factors)`` and V ``(n_items, factors)`` are the factors; E is the sparse matrix of the errors
``E_ui = r_ui - r_hat_ui`` of the ratings; n_u is the number of ratings of user u. The loss is half
of

    sum of E_ui^2 + lambda sum over ratings of (b_u^2 + c_i^2 + |u_u|^2 + |v_i|^2),

so that ``dL/dU = -E V + lambda n U`` and ``dL/dV = -E' U + lambda n V``. Source: Koren, Bell and
Volinsky, *Matrix factorization techniques for recommender systems*, 2009, equation 5.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from m6rec_lite.nn.optim import Objective


def rating_objective(
    users: np.ndarray,
    items: np.ndarray,
    ratings: np.ndarray,
    mean: float,
    regularization: float,
) -> Objective:
    """Return the loss of a set of ratings, with its gradients, as a function of the parameters.

    Args:
        users: ``(n,)`` user indices.
        items: ``(n,)`` item indices.
        ratings: ``(n,)`` ratings.
        mean: mu.
        regularization: lambda; the penalty is added once per rating.

    Returns:
        ``objective(b, c, U, V) -> (loss, [db, dc, dU, dV])``, as ``nn.descend`` and
        ``nn.check_gradient`` take it.
    """

    def objective(
        b: np.ndarray, c: np.ndarray, u: np.ndarray, v: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        n_u, n_i = (np.bincount(p, minlength=len(t)) for p, t in ((users, b), (items, c)))
        with np.errstate(over="ignore", invalid="ignore"):  # the caller detects divergence
            dots = np.einsum("nf,nf->n", u[users], v[items])
            error = ratings - (mean + b[users] + c[items] + dots)
            e = sparse.coo_array((error, (users, items)), shape=(len(b), len(c))).tocsr()
            penalty = n_u @ (b**2 + (u**2).sum(axis=1)) + n_i @ (c**2 + (v**2).sum(axis=1))
            loss = 0.5 * float(error @ error + regularization * penalty)
            weight_u, weight_i = regularization * n_u, regularization * n_i
            return loss, [
                -e.sum(axis=1) + weight_u * b,
                -e.sum(axis=0) + weight_i * c,
                -(e @ v) + weight_u[:, None] * u,
                -(e.T @ u) + weight_i[:, None] * v,
            ]

    return objective
