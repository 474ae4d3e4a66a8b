"""Exercise ``reconstruction_loss``: the autoencoder that could not be right."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, log_softmax

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _loss(x: np.ndarray, z: np.ndarray) -> float:
    """Mean binary cross-entropy, from scores: (n, tags) both."""
    return float((np.logaddexp(0, z) - x * z).mean())


def _as_class(x: np.ndarray, z: np.ndarray) -> float:
    return float(-(x * log_softmax(z, axis=1)).sum(axis=1).mean())


def _by_chances(x: np.ndarray, z: np.ndarray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        p = expit(z)
        return float(-(x * np.log(p) + (1 - x) * np.log(1 - p)).mean())


def _clipped(x: np.ndarray, z: np.ndarray) -> float:
    p = np.clip(expit(z), 1e-7, 1 - 1e-7)
    return float(-(x * np.log(p) + (1 - x) * np.log(1 - p)).mean())


_X = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
_Z = np.array([[2.0, -1.0, 0.0, -3.0], [0.5, -2.0, 1.0, 4.0]])

EXERCISE = Exercise(
    id="reconstruction_loss",
    title="The autoencoder that could not be right",
    cases=(
        Case((_X, np.zeros((2, 4))), np.log(2), note="scores of 0: every tag is a coin"),
        Case((np.array([[0.0, 0.0], [1.0, 0.0]]), np.zeros((2, 2))), np.log(2), note="no tags"),
        Case(
            (np.array([[0.0, 0.0], [1.0, 1.0]]), np.array([[9.0, 9.0], [40.0, 40.0]])),
            np.logaddexp(0, 9) / 2,
            note="an item without tags, rebuilt with all of them",
        ),
        Case((_X, _Z), _loss(_X, _Z)),
        Case((_X, 40 * (2 * _X - 1)), 0.0, note="right about every tag, and sure"),
        Case((_X, 1000 * (1 - 2 * _X)), 1000.0, note="wrong about every tag, and very sure"),
    ),
    known_wrong=(
        KnownWrong(
            _as_class,
            "Still a softmax: tags compete for one unit of chance, so an item with two tags costs "
            "at least 2 ln 2 however well it is rebuilt. Each tag is a yes or no of its own.",
        ),
        KnownWrong(
            lambda x, z: float((np.logaddexp(0, -z) * x).mean()),
            "Only tags that are there count. To say yes to everything is then perfect: count what "
            "is said of absent tags too.",
        ),
        KnownWrong(
            lambda x, z: float((np.logaddexp(0, z) - x * z).sum(axis=1).mean()),
            "That is the sum over the tags, not the mean over all places of the table.",
        ),
        KnownWrong(
            lambda x, z: float(((z - x) ** 2).mean()),
            "Squared error on scores: a score of 40 for a tag that is there is right, and costs "
            "1,521. Turn scores into chances, and take their logarithm.",
        ),
        KnownWrong(
            _by_chances,
            "The logarithm of a chance that was rounded to 0 is infinite. From scores it is exact: "
            "-ln sigmoid(z) = np.logaddexp(0, -z).",
        ),
        KnownWrong(
            _clipped,
            "Chances are clipped, so from some score on being wrong costs no more, and teaches no "
            "more. From scores the loss is exact: -ln sigmoid(z) = np.logaddexp(0, -z).",
        ),
        KnownWrong(
            lambda x, z: -_loss(x, z),
            "The sign: a loss falls to 0 as the answer becomes right.",
        ),
        KnownWrong(
            lambda x, z: _loss(x[x.any(axis=1)], z[x.any(axis=1)]),
            "Items without tags are skipped. To say that none of the tags is there is an answer, "
            "too: count it.",
        ),
    ),
    tolerance=1e-9,
    hints=(
        "What does the loss as found say of a rebuilding that is right about every tag?",
        "Each tag is a yes or no: -ln sigmoid(z) where it is there, -ln(1 - sigmoid(z)) where not.",
        "1 - sigmoid(z) = sigmoid(-z), and -ln sigmoid(z) = np.logaddexp(0, -z).",
    ),
    notice="A loss that the right answer does not minimise cannot teach it. Before you train, ask "
    "what your loss says of the perfect output.",
)
