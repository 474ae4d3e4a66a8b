"""Exercise ``matched_share``: two encoders' spaces compared without a map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Share = Callable[[np.ndarray, np.ndarray, int], float]


def two_spaces(n: int, d: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors of the same n people from two models, ``(n, d)`` each.

    The second space is a linear image of the first, plus noise: the models agree about the people,
    and their axes have nothing in common.
    """
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, d)) * np.linspace(2.0, 0.5, d)
    return x, x @ draw.normal(size=(d, d)) + noise * draw.normal(size=(n, d))


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _nearest(mapped: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((_unit(mapped) @ _unit(y).T).argmax(axis=1) == np.arange(len(y))))


def _map(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(x, y, rcond=None)[0]


def _matched(x: np.ndarray, y: np.ndarray, n_train: int) -> float:
    return _nearest(x[n_train:] @ _map(x[:n_train], y[:n_train]), y[n_train:])


def _among_all(x: np.ndarray, y: np.ndarray, n_train: int) -> float:
    mapped = x @ _map(x[:n_train], y[:n_train])
    best = (_unit(mapped) @ _unit(y).T).argmax(axis=1)
    return float(np.mean(best[n_train:] == np.arange(n_train, len(y))))


def _by_dot(x: np.ndarray, y: np.ndarray, n_train: int) -> float:
    mapped = x[n_train:] @ _map(x[:n_train], y[:n_train])
    return float(np.mean((mapped @ y[n_train:].T).argmax(axis=1) == np.arange(len(mapped))))


def _other_way(x: np.ndarray, y: np.ndarray, n_train: int) -> float:
    mapped = x[n_train:] @ _map(x[:n_train], y[:n_train])
    nearest = (_unit(mapped) @ _unit(y[n_train:]).T).argmax(axis=0)
    return float(np.mean(nearest == np.arange(len(mapped))))


def _cases() -> tuple[Case, ...]:
    settings = ((120, 6, 0.0, 1, 40), (160, 8, 1.5, 2, 60), (90, 5, 1.0, 3, 20),
                (200, 8, 2.5, 4, 30))  # fmt: skip
    return tuple(
        Case(
            (*two_spaces(n, d, noise, seed), n_train),
            _matched(*two_spaces(n, d, noise, seed), n_train),
            note=f"{n} people, {n_train} of them to learn the map",
        )
        for n, d, noise, seed, n_train in settings
    )


SPACES = two_spaces(160, 8, 1.5, 2)

EXERCISE = Exercise(
    id="matched_share",
    title="Error hunt: two spaces without a map",
    data={"spaces": SPACES},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda x, y, n_train: _nearest(x[n_train:], y[n_train:]),
            "The vectors are compared as they are. The axes of two models have nothing in common: "
            "fit a linear map from x to y first.",
        ),
        KnownWrong(
            lambda x, y, n_train: _nearest(x[n_train:] @ _map(x, y), y[n_train:]),
            "The map was fitted on all rows, those included by which it is judged. Fit it on the "
            "first n_train rows only.",
        ),
        KnownWrong(
            lambda x, y, n_train: _nearest(
                x[:n_train] @ _map(x[:n_train], y[:n_train]), y[:n_train]
            ),
            "The share is that of the rows that the map was fitted on. Judge it on the others.",
        ),
        KnownWrong(
            _among_all,
            "The candidates are all rows. Each of the remaining people is looked for among the "
            "remaining rows of y.",
        ),
        KnownWrong(
            _by_dot,
            "The dot product prefers long vectors. Divide both by their lengths: the cosine.",
        ),
        KnownWrong(
            _other_way,
            "For each row of y the nearest mapped x is taken; asked is for each mapped x the "
            "nearest row of y.",
        ),
        KnownWrong(
            lambda x, y, n_train: 1.0 - _matched(x, y, n_train),
            "That is the share that was *not* matched.",
        ),
        KnownWrong(
            lambda x, y, n_train: _nearest(
                x[n_train:] @ _map(y[:n_train], x[:n_train]), y[n_train:]
            ),
            "The map goes from y to x and is applied to x. Fit it from x to y.",
        ),
    ),
    hints=(
        "np.linalg.lstsq(x[:n_train], y[:n_train], rcond=None)[0] is the map, (d, d).",
        "Map the remaining rows of x; divide them and the remaining rows of y by their lengths.",
        "The argmax of each row of the cosines should be its own index.",
    ),
    notice="Without a map the share is that of chance, although both models know the same. The map "
    "needs pairs to learn from, and rows that it has not seen to be judged by.",
)
