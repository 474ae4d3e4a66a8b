"""Metrics that a lesson asserts, with bounds that a trivial model would fail::

    course.record("EASE ndcg@10", report.metrics["ndcg@10"], at_least=0.05)

The output says whether the bound holds. The runner reads the values from the executed notebook and
fails a lesson whose bound is broken. If ``M6REC_STRICT`` is set (in the tests), a broken bound
raises immediately.
"""

from __future__ import annotations

import math
import os
from typing import Any

#: MIME type of the value in the cell's output.
MIMETYPE = "application/vnd.m6rec.record+json"

STRICT_VARIABLE = "M6REC_STRICT"


class BoundError(AssertionError):
    """A recorded value is outside its bounds."""


def strict() -> bool:
    """Return whether broken bounds and wrong answers raise (tests) or are only shown."""
    return os.environ.get(STRICT_VARIABLE, "") not in ("", "0")


def record(
    name: str,
    value: float,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """Display a value and whether it is within its bounds, and store it for the runner.

    Args:
        name: name of the metric, such as ``"EASE ndcg@10"``.
        value: its value.
        at_least: lower bound; choose it so that a trivial model fails.
        at_most: upper bound.

    Raises:
        ValueError: if no bound is given.
        BoundError: if the value is outside its bounds and ``M6REC_STRICT`` is set.
    """
    from IPython.display import display

    if at_least is None and at_most is None:
        raise ValueError(f"record({name!r}) needs at_least= or at_most=; a value alone says little")
    value = float(value)
    low = -math.inf if at_least is None else float(at_least)
    high = math.inf if at_most is None else float(at_most)
    holds = low <= value <= high  # False for NaN
    bounds = (("at least", at_least), ("at most", at_most))
    expected = " and ".join(f"{text} {bound:.4g}" for text, bound in bounds if bound is not None)
    sentence = f"{name} = {value:.4g} ({expected}: {'holds' if holds else 'does NOT hold'})"
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
    """Return the values recorded in an executed notebook, in order.

    Args:
        notebook: an ``nbformat`` notebook node.

    Returns:
        A mapping with ``name value at_least at_most holds`` for each value.
    """
    return [
        output["data"][MIMETYPE]
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if MIMETYPE in output.get("data", {})
    ]
