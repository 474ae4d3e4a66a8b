"""Exercise ``skip_gram_step``: one step of skip-gram with negative sampling."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Vectors = tuple[np.ndarray, np.ndarray]
Step = Callable[[np.ndarray, np.ndarray, int, int, list[int], float], Vectors]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _is_first(n: int) -> np.ndarray:
    return (np.arange(n) == 0).astype(float)


def _slopes(scores: np.ndarray) -> np.ndarray:
    """Derivatives of the loss by the scores; the first is the pair's, the others the negatives'."""
    return _sigmoid(scores) - _is_first(len(scores))


def _by(
    slopes: Callable[[np.ndarray], np.ndarray] = _slopes,
    *,
    move: tuple[float, float] = (1.0, 1.0),
    again: bool = True,
    in_turn: bool = False,
) -> Step:
    """Return a step with other slopes, rates of u and v, or order of the two updates.

    Args:
        slopes: derivatives of the loss by the scores.
        move: factors on the steps of u and v.
        again: whether a negative that is drawn twice moves twice.
        in_turn: whether v moves by the u that has already moved.
    """

    def step(
        u: np.ndarray, v: np.ndarray, i: int, j: int, negatives: list[int], lr: float
    ) -> Vectors:
        items = np.array([j, *negatives])
        slope = slopes(v[items] @ u[i])
        new_u, new_v = u.copy(), v.copy()
        new_u[i] -= move[0] * lr * slope @ v[items]
        change = -move[1] * lr * slope[:, None] * (new_u if in_turn else u)[i]
        if again:
            np.add.at(new_v, items, change)
        else:
            new_v[items] = v[items] + change
        return new_u, new_v

    return step


_step = _by()
_U = np.array([[0.5, -0.2], [0.1, 0.4], [-0.3, 0.2], [0.0, 0.6]])
_V = np.array([[0.2, 0.1], [-0.4, 0.3], [0.6, 0.5], [0.1, -0.2]])

EXERCISE = Exercise(
    id="skip_gram_step",
    title="One step of skip-gram with negative sampling",
    cases=tuple(
        Case(
            args=(_U, _V, i, j, negatives, lr),
            expected=_step(_U, _V, i, j, negatives, lr),
            note=note,
        )
        for i, j, negatives, lr, note in (
            (0, 1, [2], 0.5, "one negative"),
            (1, 2, [0, 3], 0.1, "two negatives"),
            (2, 0, [3, 3, 1], 1.0, "item 3 is drawn twice: it moves twice"),
            (3, 3, [3], 0.5, "an item after itself, and drawn as its own negative"),
        )
    ),
    known_wrong=(
        KnownWrong(
            _by(move=(-1.0, -1.0)),
            "The step climbs: the loss rises. Subtract the gradient times the rate.",
        ),
        KnownWrong(
            _by(in_turn=True),
            "v moves by the u that has already moved. Compute both gradients from the old vectors.",
        ),
        KnownWrong(
            _by(again=False),
            "A negative that is drawn twice moves once: `v[items] += …` writes the last value. "
            "np.add.at adds all.",
        ),
        KnownWrong(
            _by(_sigmoid),
            "The pair is treated as a negative: the label of j is 1, so its slope is "
            "sigmoid(score) - 1.",
        ),
        KnownWrong(
            _by(lambda scores: _sigmoid(scores) - 1),
            "The negatives are treated as pairs: their label is 0, so their slope is "
            "sigmoid(score).",
        ),
        KnownWrong(
            _by(lambda scores: scores - _is_first(len(scores))),
            "The slopes are score - label, those of a squared error. The loss has the sigmoid of "
            "the score.",
        ),
        KnownWrong(_by(move=(1.0, 0.0)), "Only u moves. The vectors v of j and the negatives do."),
        KnownWrong(_by(move=(0.0, 1.0)), "Only v moves. The vector u of item i does as well."),
        KnownWrong(
            _by(lambda scores: _slopes(scores) / len(scores)),
            "The loss is the sum over the pair and its negatives, not the mean.",
        ),
        KnownWrong(
            lambda u, v, i, j, negatives, lr: _by()(u, v, i, j, negatives, 1.0),
            "The learning rate is not used: multiply the gradients by lr.",
        ),
    ),
    hints=(
        "The scores are u[i] · v[j] and u[i] · v[m] for each negative m.",
        "The derivative of -ln sigmoid(x) is sigmoid(x) - 1; that of -ln sigmoid(-x) is "
        "sigmoid(x).",
        "items = [j, *negatives]; np.add.at(new_v, items, -lr * slope[:, None] * u[i]).",
    ),
    notice="The pair's two vectors move towards each other, the negatives' away; how far "
    "depends on how wrong the score was. `Item2Vec` does this for thousands of pairs at once.",
)
