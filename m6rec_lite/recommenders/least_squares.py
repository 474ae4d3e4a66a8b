"""Many small ridge regressions at once: the inner step of alternating least squares.

For every row u of a sparse matrix, given one vector y_i for each column i, find the x_u with

    (gram + ridge_u I + sum over i in u of weight_ui y_i y_i') x_u = sum over i in u of pull_ui y_i.

Implicit ALS has ``gram = Y'Y`` (every cell counts), ``weight = c - 1`` and ``pull = c p``; explicit
ALS has ``gram = 0``, ``weight = 1`` and ``pull = rating``. The rows do not depend on each other.

Rows of about equal length are gathered into one block, padded with weight 0, so that numpy works on
(rows, length, factors) arrays small enough for the processor's cache instead of on one row a time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, get_lapack_funcs

#: Numbers in a block of gathered vectors: 2 MB in float32, about the size of a processor's cache.
_BLOCK = 2**19


def _blocks(weights: sparse.csr_array, factors: int, width: int) -> Iterator[tuple]:
    """Rows of similar length, and where their entries lie.

    Yields:
        ``rows (b,)``; ``entries (b, length)``, places in ``weights.data``; ``real (b, length)``
        bool, false where an entry is padding. ``b * max(length, width) * factors`` is at most
        ``_BLOCK`` unless ``b`` is 1. Empty rows come in no block.
    """
    lengths = np.diff(weights.indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        # The longest row of a block is its last; block sizes that fit are found by bisection.
        sizes = np.arange(1, len(order) - start + 1) * np.maximum(lengths[order[start:]], width)
        stop = start + max(1, int(np.searchsorted(sizes * factors, _BLOCK, side="right")))
        rows = order[start:stop]
        steps = np.arange(lengths[rows[-1]])
        real = steps < lengths[rows, None]
        yield rows, np.where(real, weights.indptr[rows, None] + steps, 0), real
        start = stop


def solve_exact(
    weights: sparse.csr_array,
    pull: np.ndarray,
    y: np.ndarray,
    gram: np.ndarray,
    ridge: np.ndarray,
) -> np.ndarray:
    """Solve every row's equations by Cholesky factorization.

    Args:
        weights: ``(n, m)``, the weights of the entries, 0 or more; in canonical form or not.
        pull: ``(nnz,)``, in the order of ``weights.data``.
        y: ``(m, factors)`` float32 or float64, which is the type that is computed in.
        gram: ``(factors, factors)``, symmetric.
        ridge: ``(n,)``, above 0.

    Returns:
        ``(n, factors)``; rows without entries are 0.

    Raises:
        LinAlgError: if a row's matrix is not positive definite: the ridge is too small.
    """
    n, factors = weights.shape[0], y.shape[1]
    x = np.zeros((n, factors), dtype=y.dtype)
    (solve,) = get_lapack_funcs(("posv",), (y,))
    diagonal = np.arange(factors)
    for rows, entries, real in _blocks(weights, factors, factors):
        gathered = y[weights.indices[entries]]  # (b, length, factors)
        weight = np.where(real, weights.data[entries], 0).astype(y.dtype)
        pulled = np.where(real, pull[entries], 0).astype(y.dtype)
        left = np.matmul(gathered.transpose(0, 2, 1), gathered * weight[:, :, None]) + gram
        left[:, diagonal, diagonal] += ridge[rows, None].astype(y.dtype)
        right = np.matmul(pulled[:, None, :], gathered)[:, 0]  # (b, factors)
        for row, a, b in zip(rows, left, right, strict=True):
            _, x[row], failed = solve(a, b, lower=True)
            if failed:
                raise LinAlgError(
                    f"row {row} has no unique solution in {y.dtype}: raise the regularization "
                    f"(here {ridge[row]:g}) or use float64"
                )
    return x


def solve_cg(
    weights: sparse.csr_array,
    pull: np.ndarray,
    y: np.ndarray,
    gram: np.ndarray,
    ridge: np.ndarray,
    x: np.ndarray,
    steps: int,
) -> None:
    """Bring ``x`` nearer to every row's solution by conjugate gradients, in place.

    No row's matrix A is ever built: ``A p = gram p + ridge p + sum of weight (y . p) y`` costs one
    pass over the row's entries. Source: Takacs, Pilaszy and Tikk, *Applications of the conjugate
    gradient method for implicit feedback collaborative filtering*, 2011, section 4.

    Args:
        weights: see ``solve_exact``.
        pull: see ``solve_exact``.
        y: see ``solve_exact``.
        gram: see ``solve_exact``.
        ridge: see ``solve_exact``.
        x: ``(n, factors)``: where to start, such as the last round's solution. Empty rows become 0.
        steps: of conjugate gradients; as many as there are factors are exact but for rounding.
    """
    x[np.diff(weights.indptr) == 0] = 0
    for rows, entries, real in _blocks(weights, y.shape[1], 1):
        gathered = y[weights.indices[entries]]  # (b, length, factors)
        weight = np.where(real, weights.data[entries], 0).astype(y.dtype)
        pulled = np.where(real, pull[entries], 0).astype(y.dtype)
        diagonal = ridge[rows, None].astype(y.dtype)

        def apply(p: np.ndarray) -> np.ndarray:  # (b, factors), of this block
            dots = np.matmul(gathered, p[:, :, None])[:, :, 0]  # noqa: B023
            seen = np.matmul((weight * dots)[:, None, :], gathered)[:, 0]  # noqa: B023
            return p @ gram + diagonal * p + seen  # noqa: B023

        now = x[rows]
        residual = np.matmul(pulled[:, None, :], gathered)[:, 0] - apply(now)
        direction, size = residual, (residual**2).sum(axis=1, keepdims=True)
        for _ in range(steps):
            applied = apply(direction)
            curvature = (direction * applied).sum(axis=1, keepdims=True)
            move = size / np.maximum(curvature, 1e-30)  # size is 0 where the row is solved
            now = now + move * direction
            residual = residual - move * applied
            before, size = size, (residual**2).sum(axis=1, keepdims=True)
            direction = residual + size / np.maximum(before, 1e-30) * direction
        x[rows] = now
