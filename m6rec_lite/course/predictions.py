"""Predictions that a learner stores before a measurement, and compares with it afterwards::

    course.predict("17.clicked", 0.05)              # before: store it
    course.predict("17.clicked")                    # read it back: 0.05
    course.compare_prediction("17.clicked", 0.041)  # after: show both

Each prediction is one JSON file in ``predictions/`` of the run's folder (``M6REC_RUN``, else
``runs/notebook``), written atomically. A prediction may be changed until it is compared; then it
stays, so that it remains one.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import EllipsisType
from typing import Any, TypeGuard

import numpy as np

from m6rec_lite.course.leaderboard import run_folder
from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import read_json

#: A number, a text, true or false, or a list of them, such as the order of several models.
Value = float | str | bool | list[float | str | bool]

NAME = re.compile(r"[\w.-]+")

FOLDER = "predictions"

#: Largest relative difference at which a predicted number counts as close.
CLOSE = 0.1


def predict(name: str, value: Value | EllipsisType | None = None) -> Value | None:
    """Store a prediction, or read it back.

    Args:
        name: of the prediction, such as ``"17.clicked"``; of an open exercise, its own name.
        value: a number, a text, a bool, or a list of them. None reads what is stored. ``...``
            stores nothing and says what to do, so that a notebook without answers runs.

    Returns:
        When reading, the stored prediction, None if there is none. When storing, None.

    Raises:
        ValueError: if the name has other characters than letters, digits, ``. _ -``, the value is
            of another type or not finite, or the file is damaged.
    """
    entry = _read(name)
    if value is None:
        return entry.get("value")
    if value is ...:
        print(f"Prediction {name}: to do. Write your prediction in place of `...`, then run again.")
        return None
    value = _plain(name, value)
    if "measured" in entry and value != entry["value"]:
        print(
            f"Prediction {name} stays {_show(entry['value'])}: the measurement is known. To begin "
            f"again, delete {FOLDER}/{name}.json in the folder of the run."
        )
        return None
    changed = f" (before: {_show(entry['value'])})" if entry.get("value", value) != value else ""
    _write(name, entry | {"value": value})
    print(f"Prediction {name}: {_show(value)}{changed}")
    return None


def compare_prediction(name: str, measured: Value) -> None:
    """Print a stored prediction beside what was measured; afterwards it cannot be changed.

    Args:
        name: of the prediction.
        measured: of the same type as the prediction.

    Raises:
        ValueError: see ``predict``.
    """
    print(settle(name, measured))


def settle(name: str, measured: Value) -> str:
    """Store a measurement beside its prediction, and return a sentence that compares both."""
    entry, measured = _read(name), _plain(name, measured)
    if "value" not in entry:
        return f"Measured {_show(measured)}. No prediction {name} was stored before."
    _write(name, entry | {"measured": measured})
    both = f"Predicted {_show(entry['value'])}, measured {_show(measured)}"
    return f"{both}: {_judgement(entry['value'], measured)}."


def _judgement(value: Value, measured: Value) -> str:
    """Say in words how a prediction compares with a measurement."""
    if value == measured or not (_is_number(value) and _is_number(measured)):
        return "as predicted" if value == measured else "not as predicted"
    if not measured:
        return f"off by {_show(abs(value))}"
    apart = (value - measured) / abs(measured)
    if measured > 0 and apart > 1:
        return f"too high, {value / measured:.3g} times the measurement"
    how = "close" if abs(apart) <= CLOSE else "too high" if apart > 0 else "too low"
    return f"{how}, by {abs(apart):.0%} of the measurement"


def _is_number(value: Value) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(name: str, value: Any) -> Value:
    """Return a value as JSON has it.

    Raises:
        ValueError: if it is of another type, or not finite.
    """
    if isinstance(value, np.ndarray | tuple):
        value = [*value]
    if isinstance(value, list):
        return [_plain(name, each) for each in value]  # type: ignore[misc]
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, bool | int | float | str) or not (
        isinstance(value, str) or math.isfinite(value)
    ):
        raise ValueError(
            f"prediction {name!r} must be a finite number, a text, True or False, or a list of "
            f"them; got {value!r}"
        )
    return value


def _show(value: Value) -> str:
    """Return a value as text, numbers with at most four digits."""
    if isinstance(value, list):
        return ", ".join(map(_show, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _path(name: str) -> Path:
    """Return the file of a prediction.

    Raises:
        ValueError: if the name is no file name.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"a prediction's name has letters, digits, '.', '_' and '-' only, such as "
            f"'17.clicked'; got {name!r}"
        )
    return run_folder() / FOLDER / f"{name}.json"


def _read(name: str) -> dict[str, Any]:
    """Return what is stored of a prediction; empty if nothing is."""
    path = _path(name)
    return read_json(path) if path.is_file() else {}


def _write(name: str, entry: dict[str, Any]) -> None:
    path = _path(name)
    try:
        write_text(path, json.dumps(entry, indent=1, ensure_ascii=False) + "\n")
    except PermissionError as error:
        raise PermissionError(
            f"{path} cannot be written, so the prediction is not stored: set M6REC_RUN to a folder "
            f"of your own, and run the cell again ({error.strerror})"
        ) from error
