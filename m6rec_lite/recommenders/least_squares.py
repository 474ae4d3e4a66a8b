"""Batched solution of many small ridge regressions, the inner step of alternating least squares.

For every row u of a sparse matrix, given a vector y_i of each column i, solve for x_u:

    (gram + ridge_u I + sum over i in u of weight_ui y_i y_i') x_u = sum over i in u of pull_ui y_i.

Implicit ALS has ``gram = Y'Y`` (every cell counts), ``weight = c - 1`` and ``pull = c p``; explicit
ALS has ``gram = 0``, ``weight = 1`` and ``pull = rating``. The rows are independent.

Rows of similar length are processed as one block, padded with weight 0: numpy computes with
``(rows, length, factors)`` arrays that fit into the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse
from scipy.linalg import LinAlgError, get_lapack_funcs

#: Number of values in a block of gathered vectors: 2 MB in float32, about the size of a cache.
_BLOCK = 2**19


def _blocks(
    weights: sparse.csr_array, factors: int, width: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Group the non-empty rows into blocks of similar length.

    Yields:
        ``rows (b,)``; ``entries (b, length)``, indices into ``weights.data``; ``real (b, length)``
        bool, false for padding. ``b * max(length, width) * factors`` is at most ``_BLOCK`` unless
        ``b`` is 1.
    """
    lengths = np.diff(weights.indptr)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    start = 0
    while start < len(order):
        # The last row of a block is its longest; a binary search finds the largest block.
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
    """Solve the equations of every row by Cholesky factorization.

    Args:
        weights: ``(n, m)`` weights of the entries, 0 or more; need not be in canonical form.
        pull: ``(nnz,)`` factors on the right-hand side, in the order of ``weights.data``.
        y: ``(m, factors)`` float32 or float64, which is also the type of the computation.
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
            _, x[row], info = solve(a, b, lower=True)
            if info:
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
    """Improve ``x`` by steps of conjugate gradients, in place.

    The matrix A of a row is never built: ``A p = gram p + ridge p + sum of weight (y . p) y`` needs
    one pass over the entries of the row. Source: Takacs, Pilaszy and Tikk, *Applications of
    the conjugate gradient method for implicit feedback collaborative filtering*, 2011, section 4.

    Args:
        weights: see ``solve_exact``.
        pull: see ``solve_exact``.
        y: see ``solve_exact``.
        gram: see ``solve_exact``.
        ridge: see ``solve_exact``.
        x: ``(n, factors)`` initial values, such as the previous solution. Empty rows become 0.
        steps: number of steps; ``factors`` steps are exact except for rounding.
    """
    x[np.diff(weights.indptr) == 0] = 0
    for rows, entries, real in _blocks(weights, y.shape[1], 1):
        gathered = y[weights.indices[entries]]  # (b, length, factors)
        weight = np.where(real, weights.data[entries], 0).astype(y.dtype)
        pulled = np.where(real, pull[entries], 0).astype(y.dtype)
        diagonal = ridge[rows, None].astype(y.dtype)

        def apply(p: np.ndarray) -> np.ndarray:  # (b, factors), of this block
            dots = np.matmul(gathered, p[:, :, None])[:, :, 0]  # noqa: B023
            weighted = np.matmul((weight * dots)[:, None, :], gathered)[:, 0]  # noqa: B023
            return p @ gram + diagonal * p + weighted  # noqa: B023

        solution = x[rows]
        residual = np.matmul(pulled[:, None, :], gathered)[:, 0] - apply(solution)
        direction, size = residual, (residual**2).sum(axis=1, keepdims=True)
        for _ in range(steps):
            applied = apply(direction)
            curvature = (direction * applied).sum(axis=1, keepdims=True)
            move = size / np.maximum(curvature, 1e-30)  # size is 0 where the row is solved
            solution = solution + move * direction
            residual = residual - move * applied
            previous, size = size, (residual**2).sum(axis=1, keepdims=True)
            direction = residual + size / np.maximum(previous, 1e-30) * direction
        x[rows] = solution
