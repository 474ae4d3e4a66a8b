"""Open exercise ``kept_neighbours``: how many neighbours of a space a map keeps."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, KnownWrong
from m6rec_lite.course.open_exercise import OpenExercise

#: Neighbours that are asked for, and the length of the vectors.
K, DIMENSIONS = 10, 16


def cloud(d: int = DIMENSIONS) -> tuple[np.ndarray, np.ndarray]:
    """Return 200 vectors ``(200, d)`` in five groups, and their first two principal components."""
    draw = np.random.default_rng(0)
    centres = 2 * draw.normal(size=(5, d))
    space = centres[np.arange(200) % 5] + draw.normal(size=(200, d))
    space -= space.mean(axis=0)
    return space, space @ np.linalg.svd(space, full_matrices=False)[2][:2].T


def _nearest(v: np.ndarray, k: int, *, with_self: bool = False, sign: int = 1) -> np.ndarray:
    """Return ``(n, k)`` indices of the nearest points, by Euclidean distance."""
    far = sign * ((v[:, None] - v[None]) ** 2).sum(axis=2).astype(float)
    if not with_self:
        np.fill_diagonal(far, np.inf)
    return np.argsort(far, axis=1)[:, :k]


def _common(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return for each row the number of indices that both have."""
    return np.array([len({*x} & {*y}) for x, y in zip(a.tolist(), b.tolist(), strict=True)])


def _kept(space: np.ndarray, flat: np.ndarray, k: int) -> float:
    return float(_common(_nearest(space, k), _nearest(flat, k)).mean() / k)


def _itself(space: np.ndarray, flat: np.ndarray, k: int) -> float:
    both = _nearest(space, k, with_self=True), _nearest(flat, k, with_self=True)
    return float(_common(*both).mean() / k)


def _itself_beside(space: np.ndarray, flat: np.ndarray, k: int) -> float:
    both = _nearest(space, k + 1, with_self=True), _nearest(flat, k + 1, with_self=True)
    return float(_common(*both).mean() / (k + 1))


def _same_rank(space: np.ndarray, flat: np.ndarray, k: int) -> float:
    return float((_nearest(space, k) == _nearest(flat, k)).mean())


def _farthest(space: np.ndarray, flat: np.ndarray, k: int) -> float:
    both = _nearest(space, k, sign=-1), _nearest(flat, k, sign=-1)
    return float(_common(*both).mean() / k)


def _of_union(space: np.ndarray, flat: np.ndarray, k: int) -> float:
    common = _common(_nearest(space, k), _nearest(flat, k))
    return float((common / (2 * k - common)).mean())


def _count(space: np.ndarray, flat: np.ndarray, k: int) -> float:
    return _kept(space, flat, k) * k


def _one_side(space: np.ndarray, flat: np.ndarray, k: int) -> float:
    return _kept(space, space[:, :2], k)


def _cases() -> tuple[Case, ...]:
    line = np.array([[0.0, 0.0], [1.0, 0.0], [2.5, 0.0], [4.5, 0.0]])
    moved = np.array([[0.0], [1.0], [9.0], [2.5]])
    space, flat = cloud()
    return (
        Case((line, line[:, :1], 2), 1.0, note="nothing is lost"),
        Case((line, moved, 1), 0.5, note="on a line; two of four have another neighbour"),
        Case((space, flat, K), _kept(space, flat, K), note=f"{DIMENSIONS} dimensions"),
        Case((space, flat, 3), _kept(space, flat, 3), note="three neighbours"),
        Case((*cloud(3), K), _kept(*cloud(3), K), note="three dimensions"),
    )


EXERCISE = OpenExercise(
    id="kept_neighbours",
    title="Predict and measure: what a map keeps",
    data={"cloud": cloud},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _itself,
            "Each point is its own nearest neighbour here, which every map keeps. Leave it out.",
        ),
        KnownWrong(
            _itself_beside,
            "The point itself is one of the k + 1, and every map keeps it. Leave it out before "
            "the share is taken.",
        ),
        KnownWrong(
            _same_rank,
            "The neighbours must be the same at the same rank here. Their order does not count.",
        ),
        KnownWrong(_farthest, "Those are the farthest points: sort the distances ascending."),
        KnownWrong(
            _of_union,
            "That is the share of the union of both sets. Divide by k instead.",
        ),
        KnownWrong(_count, "That is a number of neighbours. Divide it by k."),
        KnownWrong(
            _one_side,
            "The map that was passed is not used: the second set of neighbours comes from `flat`.",
        ),
    ),
    hints=(
        "Squared distances of all pairs: ((v[:, None] - v[None]) ** 2).sum(axis=2).",
        "Set the diagonal to infinity, then np.argsort(far, axis=1)[:, :k].",
        "For each point: len(set(a) & set(b)) / k; then the mean.",
    ),
    notice="Groups stay visible on such a map although most of the nearest neighbours are lost: "
    "two numbers cannot hold what sixteen say. State the share beside every map.",
    measured=lambda answer: float(answer(*cloud(), K)),
    example=0.5,
)
