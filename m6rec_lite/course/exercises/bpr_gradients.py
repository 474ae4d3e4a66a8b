"""Exercise ``bpr_gradients``: the gradient of BPR."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _bpr(
    sign: float = 1.0, turned: bool = False, other: float = -1.0, slope: float | None = None
) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Gradients of -ln sigmoid(u . (v_i - v_j)), with what usually goes wrong as options."""

    def gradients(u, v_i, v_j):
        ahead = u @ (v_i - v_j)
        chance = 1 / (1 + np.exp(-ahead if turned else ahead))  # sigmoid(-ahead)
        d = -sign * (chance if slope is None else slope)
        return d * (v_i - v_j), d * u, other * d * u

    return gradients


def _triple(seed: int, size: float = 1.0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return tuple(size * rng.normal(size=4) for _ in range(3))


EXERCISE = Exercise(
    id="bpr_gradients",
    title="The gradient of BPR",
    cases=(
        Case(
            args=(np.array([1.0]), np.array([1.0]), np.array([0.0])),
            expected=_bpr()(np.array([1.0]), np.array([1.0]), np.array([0.0])),
            note="one ahead: the slope is 0.269",
        ),
        Case(args=_triple(0), expected=_bpr()(*_triple(0))),
        Case(args=_triple(1, 0.5), expected=_bpr()(*_triple(1, 0.5))),
    ),
    known_wrong=(
        KnownWrong(
            _bpr(sign=-1.0),
            "The sign is turned: these are the gradients of +ln sigmoid, which is to be climbed. "
            "The loss is -ln sigmoid, so dL/ds_i is negative.",
        ),
        KnownWrong(
            _bpr(turned=True),
            "The slope is sigmoid of minus the difference: pairs in the wrong order must push "
            "hardest. Yours pushes hardest where the order is right already.",
        ),
        KnownWrong(
            _bpr(other=1.0),
            "v_j moves the same way as v_i, so that the two are not parted. s_j stands in the loss "
            "with the opposite sign.",
        ),
        KnownWrong(
            _bpr(slope=1.0),
            "The slope is 1 whatever the scores: the sigmoid is missing from the chain rule.",
        ),
    ),
    hints=(
        "Let x = u . (v_i - v_j). What is the derivative of -ln sigmoid(x) by x?",
        "It is -sigmoid(-x). Then x by u is v_i - v_j, by v_i is u, by v_j is -u.",
        "slope = -1 / (1 + np.exp(x)); return slope * (v_i - v_j), slope * u, -slope * u.",
    ),
    tolerance=1e-5,
    notice="All three gradients share one number, the slope. It fades where the order is right, so "
    "training spends itself on pairs in the wrong order.",
)
