"""Exercise ``residual_codes``: the codes of vectors, from given codebooks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Codes = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _distances(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Squared distances ``(n, k)``."""
    return np.square(vectors[:, None] - centroids).sum(axis=2)


def _answer(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    """The right answer."""
    residuals, codes = vectors, []
    for centroids in codebooks:
        code = _distances(residuals, centroids).argmin(axis=1)
        residuals = residuals - centroids[code]
        codes.append(code)
    return np.stack(codes, axis=1)


def _without_residuals(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    return np.stack([_distances(vectors, c).argmin(axis=1) for c in codebooks], axis=1)


def _added(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    residuals, codes = vectors, []
    for centroids in codebooks:
        codes.append(_distances(residuals, centroids).argmin(axis=1))
        residuals = residuals + centroids[codes[-1]]
    return np.stack(codes, axis=1)


def _from_the_vectors(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    residuals, codes = vectors, []
    for centroids in codebooks:
        codes.append(_distances(residuals, centroids).argmin(axis=1))
        residuals = vectors - centroids[codes[-1]]
    return np.stack(codes, axis=1)


def _by_dot_product(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    residuals, codes = vectors, []
    for centroids in codebooks:
        codes.append((residuals @ centroids.T).argmax(axis=1))
        residuals = residuals - centroids[codes[-1]]
    return np.stack(codes, axis=1)


def _farthest(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    residuals, codes = vectors, []
    for centroids in codebooks:
        codes.append(_distances(residuals, centroids).argmax(axis=1))
        residuals = residuals - centroids[codes[-1]]
    return np.stack(codes, axis=1)


def _first_codebook(vectors: np.ndarray, codebooks: np.ndarray) -> np.ndarray:
    return _answer(vectors, np.repeat(codebooks[:1], len(codebooks), axis=0))


def _cases() -> tuple[Case, ...]:
    line = np.array([[1.0], [2.0], [9.0], [10.0]])
    books = np.array([[[1.5], [9.5]], [[-0.5], [0.5]]])
    draw = np.random.default_rng(0)
    rows = (
        (line, books, "four numbers, two levels of two"),
        (draw.normal(size=(12, 3)), draw.normal(size=(3, 4, 3)) * 0.8, "three levels of four"),
        (draw.normal(size=(5, 2)), draw.normal(size=(1, 3, 2)), "one level"),
    )
    return tuple(Case((*args,), _answer(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="residual_codes",
    title="The codes of an item, coarse to fine",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _without_residuals,
            "Every level looks at the whole vector. From the second level on, look at what the "
            "centroids so far have left of it.",
        ),
        KnownWrong(
            _added,
            "The centroid is added. The residual is the vector less its centroid.",
        ),
        KnownWrong(
            _from_the_vectors,
            "The residual of level three is computed from the vector again, so the first centroid "
            "is forgotten. Subtract from the residual so far.",
        ),
        KnownWrong(
            _by_dot_product,
            "The largest dot product is not the smallest distance: a long centroid wins. Take the "
            "nearest.",
        ),
        KnownWrong(_farthest, "argmax of the distance is the farthest centroid; take argmin."),
        KnownWrong(
            _first_codebook,
            "The first codebook is used on every level. Each level has its own: codebooks[level].",
        ),
        KnownWrong(
            lambda vectors, codebooks: _answer(vectors, codebooks).T,
            "The shape is (levels, items). Wanted is a row for each item: (items, levels).",
        ),
    ),
    hints=(
        "Start with residuals = vectors, and go through the codebooks.",
        "The code is the argmin over centroids of the squared distance to the residual.",
        "residuals = residuals - centroids[code]; at the end np.stack(codes, axis=1).",
    ),
    notice="The centroids of an item's codes sum to nearly its vector: a code is a direction, and "
    "an item without events has the same first codes as items that are like it.",
)
