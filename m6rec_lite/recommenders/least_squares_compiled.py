"""``solve_cg`` compiled by numba, over several threads; needs the ``fast`` extra.

The same arithmetic as in ``least_squares``, row by row as one would write it in C: the
vectors of a row's entries are read once a step, for dot products and for their share of the sum.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from scipy import sparse

_APART = 64  # numbers between two working arrays
_CHUNKS = 16  # a thread: rows differ in length, so that more chunks than threads even the load


@numba.njit(nogil=True, fastmath=True, cache=True)
def _add_entries(out, p, first, last, indices, weights, pull, y, a, b):
    """``out += sum of (a pull_e + b weight_e (y_e . p)) y_e`` over the entries of a row.

    Four entries at a time, so that ``p`` and ``out`` are read and written once for all four.
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
    for rest in range(e, last):
        y0, d0 = y[indices[rest]], zero
        for k in range(factors):
            d0 += y0[k] * p[k]
        d0 = a * pull[rest] + b * weights[rest] * d0
        for k in range(factors):
            out[k] += d0 * y0[k]


@numba.njit(nogil=True, fastmath=True, cache=True)
def _times_gram(out, p, gram, ridge):
    """``out = gram p + ridge p``, for a symmetric gram."""
    for k in range(len(out)):
        out[k] = ridge * p[k]
    for m in range(len(out)):
        p_m = p[m]
        for k in range(len(out)):
            out[k] += gram[m, k] * p_m


@numba.njit(nogil=True, fastmath=True, cache=True)
def _solve(start, stop, indptr, indices, weights, pull, y, gram, ridge, x, steps):
    """The rows from ``start`` to ``stop`` of ``solve_cg``."""
    factors = y.shape[1]
    zero, one = y.dtype.type(0), y.dtype.type(1)
    # Kept apart in memory: a vectorised loop falls back to another order of sums where the arrays
    # that it reads and writes lie close to each other, and the last digit would depend on that.
    work = np.empty((5, factors + _APART), dtype=y.dtype)
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
            move, before, size = size / curvature, size, zero
            for k in range(factors):
                x_u[k] += move * direction[k]
                residual[k] -= move * applied[k]
                size += residual[k] * residual[k]
            ratio = size / before
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
    """As ``least_squares.solve_cg``; the answer does not depend on the number of threads.

    Args:
        weights: see there, and for the other arrays.
        pull: see there.
        y: see there.
        gram: see there.
        ridge: see there.
        x: see there.
        steps: see there.
        threads: how many; None for one a core that this process may use.
    """
    kind = y.dtype
    arrays = (weights.indptr, weights.indices, weights.data.astype(kind), pull.astype(kind))
    rest = (np.ascontiguousarray(y), gram.astype(kind), ridge.astype(kind), x, steps)
    threads = threads or cores()
    cuts = np.linspace(0, len(x), min(len(x), threads * _CHUNKS) + 1).astype(np.int64)

    def work(chunk: int) -> None:
        _solve(cuts[chunk], cuts[chunk + 1], *arrays, *rest)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(len(cuts) - 1)))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
