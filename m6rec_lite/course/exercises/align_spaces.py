"""Exercise ``align_spaces``: two encoders' spaces compared without a map."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def spaces(n: int = 40, d: int = 3, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(n, d)`` vectors of the same texts by two encoders, whose axes differ."""
    draw = np.random.default_rng(0)
    first = draw.normal(size=(n, d)) * np.arange(1, d + 1)
    turn = np.linalg.qr(draw.normal(size=(d, d)))[0]
    return first, first @ turn + noise * draw.normal(size=(n, d))


def _turn(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the orthogonal map that takes ``first`` closest to ``second``."""
    u, _, vt = np.linalg.svd(first.T @ second)
    return u @ vt


def _aligned(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return first @ _turn(first[pairs], second[pairs])


def _by_all(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return first @ _turn(first, second)


def _backwards(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return second @ _turn(second[pairs], first[pairs])


def _transposed(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return first @ _turn(first[pairs], second[pairs]).T


def _least_squares(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return first @ np.linalg.lstsq(first[pairs], second[pairs], rcond=None)[0]


def _product(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return first @ (first[pairs].T @ second[pairs])


def _v_transposed(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(first[pairs].T @ second[pairs])
    return first @ u @ vt.T


def _only_pairs(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return _aligned(first, second, pairs)[pairs]


def _cases() -> tuple[Case, ...]:
    quarter = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 1.0]])
    turned = np.array([[0.0, 1.0], [-2.0, 0.0], [5.0, 5.0]])
    pairs = np.array([0, 1])
    first, second = spaces()
    few = np.arange(0, 40, 4)
    later = second.copy()
    later[1::4] = later[1::4][::-1]  # texts that do not belong together
    return (
        Case(
            (quarter, turned, pairs), [[0.0, 1.0], [-2.0, 0.0], [-1.0, 3.0]], note="a right angle"
        ),
        Case((first, second, few), _aligned(first, second, few), note="a little noise"),
        Case((first, later, few), _aligned(first, later, few), note="rows not in pairs differ"),
    )


EXERCISE = Exercise(
    id="align_spaces",
    title="Two encoders compared without a map",
    data={"spaces": spaces},
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda first, second, pairs: first,
            "The vectors are as they were. Two encoders have axes of their own, so their numbers "
            "cannot be compared before they are mapped.",
        ),
        KnownWrong(
            _by_all,
            "The map is fitted on all rows. Only the texts of `pairs` belong together; "
            "on the others the map is to be used.",
        ),
        KnownWrong(
            _backwards,
            "The second space is mapped onto the first. Return the first encoder's vectors in the "
            "second's space.",
        ),
        KnownWrong(
            _transposed, "The map is transposed, which turns the other way: first @ u @ vt."
        ),
        KnownWrong(
            _least_squares,
            "That is a free linear map. It stretches as well as turns, so distances within the "
            "space change; here an orthogonal map is expected.",
        ),
        KnownWrong(
            _product,
            "The product of both is not a map yet: leave its singular values out, u @ vt.",
        ),
        KnownWrong(
            _v_transposed,
            "np.linalg.svd returns the transpose of v already: u @ vt, without a further .T.",
        ),
        KnownWrong(_only_pairs, "The rows that are not in `pairs` are gone: return all rows."),
        KnownWrong(
            lambda first, second, pairs: second,
            "That is the second encoder's answer, which need not exist for a new text.",
        ),
    ),
    hints=(
        "Which orthogonal matrix R makes first[pairs] @ R closest to second[pairs]?",
        "u, s, vt = np.linalg.svd(first[pairs].T @ second[pairs]).",
        "R = u @ vt; return first @ R.",
    ),
    notice="An orthogonal map keeps all distances within a space, so only the axes "
    "change. It needs texts that both encoders have read; without them they cannot be compared.",
)
