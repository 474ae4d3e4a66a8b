"""Values that a chapter vouches for, with bounds that a trivial model would fail.

A run that only checks that nothing crashed lets an accuracy of 0.0 pass. A chapter says instead::

    course.record("EASE ndcg@10", report.metrics["ndcg@10"], at_least=0.05)

The sentence that appears says whether the bound holds. The runner reads the values from the
executed notebook, puts them in its table, and fails the chapter whose bound is broken. Where
``M6REC_STRICT`` is set (in the tests), a broken bound raises at once.
"""

from __future__ import annotations

import math
import os
from typing import Any

#: Stored beside the sentence in the cell's output.
MIMETYPE = "application/vnd.m6rec.record+json"

STRICT_VARIABLE = "M6REC_STRICT"


class BoundError(AssertionError):
    """A recorded value lies outside its bounds."""


def strict() -> bool:
    """Whether broken bounds and wrong answers raise (tests), or are only told (learners)."""
    return os.environ.get(STRICT_VARIABLE, "") not in ("", "0")


def record(
    name: str,
    value: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """Show a value with its verdict, and leave it in the notebook for the runner.

    Args:
        name: what was measured, such as ``"EASE ndcg@10"``.
        value: the measurement.
        at_least: the least that is acceptable: choose it so that a trivial model fails.
        at_most: the most that is acceptable.

    Raises:
        ValueError: if no bound is given.
        BoundError: if the value lies outside, and ``M6REC_STRICT`` is set.
    """
    from IPython.display import display

    if at_least is None and at_most is None:
        raise ValueError(f"record({name!r}) needs at_least= or at_most=; a value alone says little")
    value = float(value)
    low = -math.inf if at_least is None else float(at_least)
    high = math.inf if at_most is None else float(at_most)
    holds = low <= value <= high  # False for NaN
    wanted = " and ".join(
        text
        for text in (
            f"at least {at_least:.4g}" if at_least is not None else "",
            f"at most {at_most:.4g}" if at_most is not None else "",
        )
        if text
    )
    sentence = f"{name} = {value:.4g} ({wanted}: {'holds' if holds else 'does NOT hold'})"
    data = {
        "name": name,
        "value": value if math.isfinite(value) else None,
        "at_least": at_least,
        "at_most": at_most,
        "holds": holds,
    }
    display({"text/plain": sentence, MIMETYPE: data}, raw=True)
    if not holds and strict():
        raise BoundError(sentence)


def recorded(notebook: Any) -> list[dict[str, Any]]:
    """The values recorded in an executed notebook, in order.

    Args:
        notebook: an ``nbformat`` notebook node.

    Returns:
        One mapping a value: ``name value at_least at_most holds``.
    """
    return [
        output["data"][MIMETYPE]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if MIMETYPE in output.get("data", {})
    ]
