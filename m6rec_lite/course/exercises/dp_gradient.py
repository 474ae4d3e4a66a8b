"""Exercise ``dp_gradient``: the step of DP-SGD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


def _clipped(gradients: np.ndarray, max_norm: float) -> np.ndarray:
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    return gradients * np.minimum(1.0, max_norm / np.maximum(norms, 1e-12))


def _gradient(
    gradients: np.ndarray,
    max_norm: float,
    noise_multiplier: float,
    expected_size: float,
    noise: np.ndarray,
) -> np.ndarray:
    """The right answer."""
    total = _clipped(gradients, max_norm).sum(axis=0)
    return (total + noise_multiplier * max_norm * noise) / expected_size


def _with(
    clip: Callable[[np.ndarray, float], np.ndarray] = _clipped,
    scale: Callable[[float, float], float] = lambda multiplier, norm: multiplier * norm,
) -> Callable[..., np.ndarray]:
    """An answer with another clipping, or another scale of the noise."""
    return lambda gradients, max_norm, noise_multiplier, expected_size, noise: (
        (clip(gradients, max_norm).sum(axis=0) + scale(noise_multiplier, max_norm) * noise)
        / expected_size
    )


def _normalised(gradients: np.ndarray, max_norm: float) -> np.ndarray:
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    return gradients * max_norm / np.maximum(norms, 1e-12)


def _sum_clipped(gradients: np.ndarray, max_norm: float) -> np.ndarray:
    return _clipped(gradients.sum(axis=0, keepdims=True), max_norm)


def _by_size(
    gradients: np.ndarray,
    max_norm: float,
    noise_multiplier: float,
    expected_size: float,
    noise: np.ndarray,
) -> np.ndarray:
    return _with()(gradients, max_norm, noise_multiplier, max(len(gradients), 1), noise)


def _noise_after(
    gradients: np.ndarray,
    max_norm: float,
    noise_multiplier: float,
    expected_size: float,
    noise: np.ndarray,
) -> np.ndarray:
    mean = _clipped(gradients, max_norm).sum(axis=0) / expected_size
    return mean + noise_multiplier * max_norm * noise


def _cases() -> tuple[Case, ...]:
    gradients = np.array([[3.0, 4.0], [0.3, 0.0], [0.0, -2.0]])
    noise = np.array([0.5, -1.0])
    rows: tuple[tuple[Any, ...], ...] = (
        (gradients, 1.0, 0.0, 3.0, noise, "no noise: two gradients are longer than 1"),
        (gradients, 1.0, 2.0, 3.0, noise, "with noise"),
        (gradients, 0.5, 1.5, 4.0, noise, "three were drawn, four were expected"),
        (gradients, 10.0, 0.5, 3.0, noise, "no gradient is too long"),
        (np.zeros((2, 2)), 1.0, 1.0, 2.0, noise, "gradients of 0"),
        (gradients[:0], 2.0, 1.0, 3.0, noise, "no person was drawn"),
    )
    return tuple(Case((*args,), _gradient(*args), note=note) for *args, note in rows)


EXERCISE = Exercise(
    id="dp_gradient",
    title="The step of DP-SGD",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            _with(_normalised),
            "Short gradients are stretched to the limit. Clipping only shortens: the factor is at "
            "most 1.",
        ),
        KnownWrong(
            _with(lambda gradients, max_norm: np.clip(gradients, -max_norm, max_norm)),
            "Each coordinate is cut by itself, so a gradient of d coordinates may still have the "
            "norm max_norm * sqrt(d). Scale the whole vector.",
        ),
        KnownWrong(
            _with(_sum_clipped),
            "The sum is clipped. Then one person with a huge gradient decides its direction; clip "
            "each person's gradient first.",
        ),
        KnownWrong(
            _with(lambda gradients, max_norm: gradients),
            "Nothing is clipped: one person can move the sum by any amount, and no noise hides "
            "that.",
        ),
        KnownWrong(
            _with(scale=lambda multiplier, norm: multiplier),
            "The noise is not multiplied by max_norm. It must be relative to what one person can "
            "change.",
        ),
        KnownWrong(
            _with(scale=lambda multiplier, norm: 0.0),
            "There is no noise: clipping alone promises nothing.",
        ),
        KnownWrong(
            _by_size,
            "The sum is divided by the number of people who were drawn, which depends on whether a "
            "person was. Divide by the expected number.",
        ),
        KnownWrong(
            _noise_after,
            "The noise is added to the mean, so it is expected_size times too large. Add it to the "
            "sum.",
        ),
        KnownWrong(
            lambda gradients, max_norm, noise_multiplier, expected_size, noise: (
                expected_size
                * _gradient(gradients, max_norm, noise_multiplier, expected_size, noise)
            ),
            "That is the sum. Divide by the expected number of people.",
        ),
    ),
    hints=(
        "norms = np.linalg.norm(gradients, axis=1) has one norm for each person.",
        "Multiply each row by min(1, max_norm / norm); a norm of 0 must not divide.",
        "(sum + noise_multiplier * max_norm * noise) / expected_size",
    ),
    notice="The limit max_norm is a setting: too low and long gradients lose their length, too "
    "high and the noise grows with it.",
)
