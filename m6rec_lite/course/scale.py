"""Three scales, so that one notebook serves a laptop, a workshop and a machine that tests it.

A chapter names its scale once, in the cell tagged ``parameters``, and turns it into sizes in the
next cell; nothing else in a chapter knows about scales::

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

#: smoke: everything runs, in seconds, and proves nothing; laptop: two cores, minutes, the figures
#: that the chapters discuss; gpu: one accelerator.
SCALES: tuple[str, ...] = ("smoke", "laptop", "gpu")

#: The environment variable that sets the scale of every chapter.
SCALE_VARIABLE = "M6REC_SCALE"


def check_scale(scale: str, *, source: str = "SCALE") -> str:
    """Return ``scale`` if it is one of ``SCALES``.

    Args:
        scale: the name to check.
        source: where the name came from; the error says it.

    Raises:
        ValueError: if it is not, naming the ones there are.
    """
    if scale not in SCALES:
        raise ValueError(
            f"{source} is {scale!r}; wanted one of {', '.join(SCALES)}. "
            f'Set {source}="laptop" for a computer without a GPU.'
        )
    return scale


def default_scale() -> str:
    """The scale in the environment variable ``M6REC_SCALE``, else ``laptop``.

    Raises:
        ValueError: if the variable holds something that is not a scale.
    """
    return check_scale(os.environ.get(SCALE_VARIABLE) or "laptop", source=SCALE_VARIABLE)


def sizes(
    scale: str,
    *,
    smoke: Mapping[str, Any],
    laptop: Mapping[str, Any],
    gpu: Mapping[str, Any] | None = None,
) -> SimpleNamespace:
    """The sizes of one scale, as attributes.

    Args:
        scale: one of ``SCALES``.
        smoke: sizes at smoke scale: seconds.
        laptop: sizes on two cores: minutes.
        gpu: sizes on an accelerator; those of ``laptop`` where it is left out.

    Returns:
        A namespace with one attribute a size.

    Raises:
        ValueError: if the scale is unknown, or the scales do not name the same sizes.
    """
    profiles = {"smoke": smoke, "laptop": laptop, "gpu": laptop if gpu is None else gpu}
    for name, profile in profiles.items():
        odd = sorted(set(profile) ^ set(laptop))
        if odd:
            raise ValueError(
                f"the sizes of {name!r} and 'laptop' differ in {odd}; every scale must name the "
                "same sizes"
            )
    return SimpleNamespace(**profiles[check_scale(scale)])
