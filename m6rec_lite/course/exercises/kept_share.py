"""Exercise ``kept_share``: how much of a step's memory does a setting save?"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

#: Changes of the plan, with a note.
SETTINGS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"recompute": True}, "recomputing"),
    ({"lines": 4}, "half the rows"),
    ({"precision": "bf16"}, "16 bits"),
    ({"lines": 4, "recompute": True}, "both"),
)


@cache
def plan() -> Any:
    """Return the plan that the settings change: ``nano``, 8 rows of 128 tokens, 32 bits."""
    from m6rec_lite.m6rec import Plan

    return Plan.of_size("nano", chunk=256)


@cache
def _measured(settings: tuple[tuple[str, Any], ...]) -> int:
    from m6rec_lite.m6rec import kept_bytes

    return kept_bytes(replace(plan(), **dict(settings)))


def _kept(**changes: Any) -> int:
    """Return the bytes that the blocks keep, measured once for each setting."""
    return _measured(tuple(sorted(changes.items())))


def share(**changes: Any) -> float:
    """Return the right answer."""
    return _kept(**changes) / _kept()


def _estimated(name: str, **changes: Any) -> float:
    """Return the share by the formulas, of a part of the memory or of all of it."""
    from m6rec_lite.m6rec import estimate_memory

    parts = [estimate_memory(each) for each in (replace(plan(), **changes), plan())]
    other, own = (each[name] if name else sum(each.values()) for each in parts)
    return other / own


EXERCISE = Exercise(
    id="kept_share",
    title="What a setting saves",
    cases=lambda: tuple(Case((), share(**changes), changes, note) for changes, note in SETTINGS),
    data={"plan": plan},
    known_wrong=(
        KnownWrong(
            lambda **changes: 1 / share(**changes),
            "The fraction is turned round: bytes with the setting over bytes without it.",
        ),
        KnownWrong(
            lambda **changes: 1 - share(**changes),
            "That is what the setting saves. Wanted is the share that is still kept.",
        ),
        KnownWrong(
            lambda **changes: _kept(**changes),
            "Those are bytes. Divide by the bytes of the plan as it was.",
        ),
        KnownWrong(
            lambda **changes: _estimated("activations", **changes),
            "That is the formula's estimate of the activations. Measure: kept_bytes runs a forward "
            "pass and counts what torch keeps.",
        ),
        KnownWrong(
            lambda **changes: _estimated("", **changes),
            "That is the estimate of all memory, with weights and moments. Measure what the blocks "
            "keep: kept_bytes.",
        ),
        KnownWrong(
            lambda **changes: 1.0,
            "The setting is not passed on: both measurements are of the same plan.",
        ),
    ),
    hints=(
        "dataclasses.replace(plan, **changes) is the plan with other settings.",
        "kept_bytes(plan) runs a forward pass and counts the bytes that torch keeps.",
        "kept_bytes(replace(plan, **changes)) / kept_bytes(plan).",
    ),
    notice="Half the rows keep half the bytes. 16 bits keep more than half: the residual stream "
    "stays in 32. Recomputing keeps the input of each block only, and a step then takes about a "
    "third more operations. Compare each with your prediction.",
)
