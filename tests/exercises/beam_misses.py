"""Right answers to ``beam_misses``, written in other ways."""

from __future__ import annotations

import heapq

import numpy as np

from m6rec_lite.course.exercises.beam_misses import _answer


def _by_masks(first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int) -> float:
    users, k = first.shape
    pairs = first[:, :, None] + second
    items = (pairs[..., None] + third).reshape(users, -1)
    rank = (-first).argsort(axis=1).argsort(axis=1)
    allowed = np.where((rank < beams)[:, :, None], pairs, -np.inf).reshape(users, -1)
    best = items.argmax(axis=1) // k
    above = (allowed > allowed[np.arange(users), best][:, None]).sum(axis=1)
    kept = np.isfinite(allowed[np.arange(users), best]) & (above < beams)
    return 1 - kept.mean()


def _by_heaps(first: np.ndarray, second: np.ndarray, third: np.ndarray, beams: int) -> float:
    missed = []
    for a, b, c in zip(first.tolist(), second.tolist(), third.tolist(), strict=True):
        everything = [(a[i] + b[i][j] + c[i][j][m], (i, j, m)) for i in range(len(a))
                      for j in range(len(a)) for m in range(len(a))]  # fmt: skip
        beam = heapq.nlargest(beams, [(a[i], (i,)) for i in range(len(a))])
        beam = heapq.nlargest(beams, [(p + b[path[0]][j], (*path, j))
                                      for p, path in beam for j in range(len(a))])  # fmt: skip
        beam = heapq.nlargest(beams, [(p + c[path[0]][path[1]][m], (*path, m))
                                      for p, path in beam for m in range(len(a))])  # fmt: skip
        missed.append(max(everything)[1] not in [path for _, path in beam])
    return float(np.mean(missed))


CORRECT = (_answer, _by_masks, _by_heaps)

EQUIVALENT = {
    "return missed / len(second)": "the tables have one row for each user",
}
