"""Scales of a lesson: from a smoke test to an accelerator.

A lesson sets its scale in the cell tagged ``parameters`` and converts it to sizes in the next
cell::

    SCALE = course.default_scale()  # tagged "parameters": smoke | laptop | gpu
    DATASET = "bazaar"
    SEED = 0

    size = course.sizes(SCALE, smoke={"users": 500}, laptop={"users": 4000})
    size.users
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

#: smoke: seconds, only checks that the code runs; laptop: minutes on two cores, the results that
#: the lessons discuss; gpu: one accelerator.
SCALES: tuple[str, ...] = ("smoke", "laptop", "gpu")

#: Environment variable with the scale of every lesson.
SCALE_VARIABLE = "M6REC_SCALE"


def check_scale(scale: str, *, source: str = "SCALE") -> str:
    """Return ``scale`` if it is one of ``SCALES``.

    Args:
        scale: the name to check.
        source: origin of the name, for the error message.

    Raises:
        ValueError: if it is not.
    """
    if scale not in SCALES:
        raise ValueError(
            f"{source} is {scale!r}; wanted one of {', '.join(SCALES)}. "
            f'Set {source}="laptop" for a computer without a GPU.'
        )
    return scale


def default_scale() -> str:
    """Return the scale in the environment variable ``M6REC_SCALE``, else ``laptop``.

    Raises:
        ValueError: if the variable is not a scale.
    """
    return check_scale(os.environ.get(SCALE_VARIABLE) or "laptop", source=SCALE_VARIABLE)


def sizes(
    scale: str,
    *,
    smoke: Mapping[str, Any],
    laptop: Mapping[str, Any],
    gpu: Mapping[str, Any] | None = None,
) -> SimpleNamespace:
    """Return the sizes of one scale as attributes.

    Args:
        scale: one of ``SCALES``.
        smoke: sizes at smoke scale.
        laptop: sizes at laptop scale.
        gpu: sizes at gpu scale; those of ``laptop`` if None.

    Returns:
        A namespace with one attribute for each size.

    Raises:
        ValueError: if the scale is unknown, or the scales do not have the same sizes.
    """
    profiles = {"smoke": smoke, "laptop": laptop, "gpu": laptop if gpu is None else gpu}
    for name, profile in profiles.items():
        unmatched = sorted(set(profile) ^ set(laptop))
        if unmatched:
            raise ValueError(
                f"the sizes of {name!r} and 'laptop' differ in {unmatched}; every scale must "
                "name the same sizes"
            )
    return SimpleNamespace(**profiles[check_scale(scale)])
