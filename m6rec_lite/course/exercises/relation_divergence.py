"""Exercise ``relation_divergence``: how far a student's relations are from the teacher's."""

from __future__ import annotations

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _relation(x: np.ndarray, heads: int, by: float | None = None) -> np.ndarray:
    """(heads, tokens, tokens): softmax(X X' / sqrt(d_r)) of each head."""
    parts = np.stack(np.split(x, heads, axis=1))  # (heads, tokens, d_r)
    scores = parts @ parts.transpose(0, 2, 1) / (by or np.sqrt(parts.shape[2]))
    scores = np.exp(scores - scores.max(axis=2, keepdims=True))
    return scores / scores.sum(axis=2, keepdims=True)


def _divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return (p * np.log(p / q)).sum(axis=2)


def _loss(teacher: np.ndarray, student: np.ndarray, heads: int) -> float:
    """The right answer."""
    return float(_divergence(_relation(teacher, heads), _relation(student, heads)).mean())


def _cases() -> tuple[Case, ...]:
    rng = np.random.default_rng(0)
    shapes = ((5, 8, 4, 2), (4, 6, 6, 3), (3, 4, 2, 1))
    rows = [(rng.normal(size=(n, d)), rng.normal(size=(n, e)), heads) for n, d, e, heads in shapes]
    same = rng.normal(size=(4, 6))
    cases = tuple(Case(row, _loss(*row)) for row in rows)
    return (*cases, Case((same, same.copy(), 2), 0.0, note="a copy has no loss"))


EXERCISE = Exercise(
    id="relation_divergence",
    title="The loss of relation distillation",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda teacher, student, heads: _loss(student, teacher, heads),
            "The divergence is of the student from the teacher: the teacher's relation weighs.",
        ),
        KnownWrong(
            lambda teacher, student, heads: float(
                _divergence(_relation(teacher, heads, 1.0), _relation(student, heads, 1.0)).mean()
            ),
            "The scores are not divided by sqrt(d_r): wide vectors would have sharper relations.",
        ),
        KnownWrong(
            lambda teacher, student, heads: float(
                _divergence(
                    _relation(teacher, heads, np.sqrt(teacher.shape[1])),
                    _relation(student, heads, np.sqrt(student.shape[1])),
                ).mean()
            ),
            "d_r is the width of a relation head, not of the whole vector.",
        ),
        KnownWrong(
            lambda teacher, student, heads: float(
                _divergence(_relation(teacher, heads), _relation(student, heads)).sum()
            ),
            "That is the sum over tokens and heads; take the mean.",
        ),
        KnownWrong(
            lambda teacher, student, heads: float(
                (
                    _relation(teacher, heads)
                    * np.log(_relation(teacher, heads) / _relation(student, heads))
                ).mean()
            ),
            "The mean runs over the keys too: sum over them, then take the mean over tokens and "
            "heads.",
        ),
        KnownWrong(
            lambda teacher, student, heads: float(
                ((_relation(teacher, heads) - _relation(student, heads)) ** 2).mean()
            ),
            "That is a squared error of probabilities; wanted is the Kullback-Leibler divergence.",
        ),
        KnownWrong(
            lambda teacher, student, heads: _loss(teacher, student, 1),
            "The heads are missing: split each vector into `heads` parts first.",
        ),
        KnownWrong(
            lambda teacher, student, heads: float(
                (-_relation(teacher, heads) * np.log(_relation(student, heads))).sum(axis=2).mean()
            ),
            "That is the cross-entropy: the teacher's own entropy is not subtracted, so a copy has "
            "a loss above 0.",
        ),
    ),
    hints=(
        "np.split(x, heads, axis=1) cuts a vector of each token into its relation heads.",
        "One head: softmax over the keys of X X' / sqrt(d_r), d_r columns in the head.",
        "KL(P || Q) = sum over keys of P ln(P / Q), with the teacher's P.",
    ),
    notice="The widths of teacher and student never meet: both become tokens x tokens. That is why "
    "a student of any width can learn them, without a matrix between the two.",
)
