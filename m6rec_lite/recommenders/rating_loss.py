"""The loss of explicit matrix factorization, and its gradient.

The letters: mu the mean rating; ``b`` and ``c`` the biases of users and items; U ``(n_users,
factors)`` and V ``(n_items, factors)``; E the sparse matrix of errors, ``E_ui = r_ui - r_hat_ui``
where there is a rating; n_u how many ratings u gave. What is minimised is half of

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
    """The loss of some ratings and its gradients, as a function of ``b, c, U, V``.

    All four gradients come from the same values of the parameters.

    Args:
        users: ``(n,)`` places of the users.
        items: ``(n,)`` places of the items.
        ratings: ``(n,)``.
        mean: mu.
        regularization: lambda, charged once a rating.

    Returns:
        ``objective(b, c, U, V) -> (loss, [db, dc, dU, dV])``, for ``nn.descend``,
        ``nn.check_gradient`` and the methods of ``ExplicitMF``.
    """

    def objective(
        b: np.ndarray, c: np.ndarray, u: np.ndarray, v: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        n_u, n_i = (np.bincount(p, minlength=len(t)) for p, t in ((users, b), (items, c)))
        with np.errstate(over="ignore", invalid="ignore"):  # the optimizers tell of divergence
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
