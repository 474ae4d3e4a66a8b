"""``solve_cg`` compiled with numba and run in several threads; needs the ``fast`` extra.

The arithmetic is that of ``least_squares``, written as loops over the rows: each step reads the
vectors of a row's entries once.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from scipy import sparse

_PADDING = 64  # values between two working arrays
_CHUNKS = 16  # chunks per thread; many chunks balance the load, as the rows differ in length


@numba.njit(nogil=True, fastmath=True, cache=True)
def _add_entries(out, p, first, last, indices, weights, pull, y, a, b):
    """Compute ``out += sum of (a pull_e + b weight_e (y_e . p)) y_e`` over the entries of a row.

    Four entries are processed together, so that ``p`` and ``out`` are accessed once for all four.
    """
    factors, zero = len(out), out.dtype.type(0)
    e = first
    while e + 4 <= last:
        y0, y1, y2, y3 = y[indices[e]], y[indices[e + 1]], y[indices[e + 2]], y[indices[e + 3]]
        d0, d1, d2, d3 = zero, zero, zero, zero
        for k in range(factors):
            d0 += y0[k] * p[k]
            d1 += y1[k] * p[k]
            d2 += y2[k] * p[k]
            d3 += y3[k] * p[k]
        d0 = a * pull[e] + b * weights[e] * d0
        d1 = a * pull[e + 1] + b * weights[e + 1] * d1
        d2 = a * pull[e + 2] + b * weights[e + 2] * d2
        d3 = a * pull[e + 3] + b * weights[e + 3] * d3
        for k in range(factors):
            out[k] += d0 * y0[k] + d1 * y1[k] + d2 * y2[k] + d3 * y3[k]
        e += 4
    for i in range(e, last):
        y0, d0 = y[indices[i]], zero
        for k in range(factors):
            d0 += y0[k] * p[k]
        d0 = a * pull[i] + b * weights[i] * d0
        for k in range(factors):
            out[k] += d0 * y0[k]


@numba.njit(nogil=True, fastmath=True, cache=True)
def _times_gram(out, p, gram, ridge):
    """Compute ``out = gram p + ridge p`` for a symmetric gram."""
    for k in range(len(out)):
        out[k] = ridge * p[k]
    for m in range(len(out)):
        p_m = p[m]
        for k in range(len(out)):
            out[k] += gram[m, k] * p_m


@numba.njit(nogil=True, fastmath=True, cache=True)
def _solve(start, stop, indptr, indices, weights, pull, y, gram, ridge, x, steps):
    """Run ``solve_cg`` on the rows from ``start`` to ``stop``."""
    factors = y.shape[1]
    zero, one = y.dtype.type(0), y.dtype.type(1)
    # With padding: a vectorised loop changes the order of its sums if the arrays that it reads and
    # writes are close together in memory, and the last digit of the result would depend on that.
    work = np.empty((5, factors + _PADDING), dtype=y.dtype)
    residual, direction, applied = work[1, :factors], work[2, :factors], work[3, :factors]
    for u in range(start, stop):
        x_u, first, last = x[u], indptr[u], indptr[u + 1]
        if first == last:
            x_u[:] = 0
            continue
        _times_gram(residual, x_u, gram, ridge[u])
        for k in range(factors):
            residual[k] = -residual[k]
        _add_entries(residual, x_u, first, last, indices, weights, pull, y, one, -one)
        size = zero
        for k in range(factors):
            direction[k] = residual[k]
            size += residual[k] * residual[k]
        for _ in range(steps):
            if size < 1e-20:
                break
            _times_gram(applied, direction, gram, ridge[u])
            _add_entries(applied, direction, first, last, indices, weights, pull, y, zero, one)
            curvature = zero
            for k in range(factors):
                curvature += direction[k] * applied[k]
            move, previous, size = size / curvature, size, zero
            for k in range(factors):
                x_u[k] += move * direction[k]
                residual[k] -= move * applied[k]
                size += residual[k] * residual[k]
            ratio = size / previous
            for k in range(factors):
                direction[k] = residual[k] + ratio * direction[k]


def solve_cg(
    weights: sparse.csr_array,
    pull: np.ndarray,
    y: np.ndarray,
    gram: np.ndarray,
    ridge: np.ndarray,
    x: np.ndarray,
    steps: int,
    threads: int | None = None,
) -> None:
    """Run ``least_squares.solve_cg`` compiled; the result does not depend on ``threads``.

    Args:
        weights: see ``least_squares.solve_cg``, also for the arguments up to ``steps``.
        pull: see ``weights``.
        y: see ``weights``.
        gram: see ``weights``.
        ridge: see ``weights``.
        x: see ``weights``.
        steps: see ``weights``.
        threads: number of threads; None uses one per available core.
    """
    dtype = y.dtype
    entries = (weights.indptr, weights.indices, weights.data.astype(dtype), pull.astype(dtype))
    rows = (np.ascontiguousarray(y), gram.astype(dtype), ridge.astype(dtype), x, steps)
    threads = threads or cores()
    bounds = np.linspace(0, len(x), min(len(x), threads * _CHUNKS) + 1).astype(np.int64)

    def work(chunk: int) -> None:
        _solve(bounds[chunk], bounds[chunk + 1], *entries, *rows)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(len(bounds) - 1)))


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
