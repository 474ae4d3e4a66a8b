"""Comparing a learner's answer with what is wanted, and saying the difference in short words."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse


class Wrong(Exception):
    """An answer is not right.

    Args:
        because: the likely mistake, by name; "" where it is unknown.
        given: the input that showed it.
        got: what came out.
        wanted: what should have come out.
    """

    def __init__(self, because: str = "", *, given: Any = "", got: Any = "", wanted: Any = ""):
        super().__init__(because)
        self.because = because
        self.given, self.got, self.wanted = (
            part if isinstance(part, str) else shorten(part) for part in (given, got, wanted)
        )


@dataclass(frozen=True)
class KnownWrong:
    """A usual mistake: an answer that makes it, and the message for whoever makes it."""

    answer: Any
    because: str


@dataclass(frozen=True)
class Case:
    """One input and what is wanted of it.

    Attributes:
        args: positional arguments, copied before each call.
        wanted: what the function should return.
        kwargs: keyword arguments.
        note: what is special about this input, told with it.
    """

    args: tuple[Any, ...]
    wanted: Any
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def words(self) -> str:
        """The input as it would be written in a call."""
        parts = [shorten(value) for value in self.args]
        parts += [f"{name}={shorten(value)}" for name, value in self.kwargs.items()]
        return ", ".join(parts) + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Outcome:
    """What a call gave: a value, or the error it raised."""

    value: Any
    error: Exception | None = None

    def __str__(self) -> str:
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error}"
        return shorten(self.value) if self.value is not None else "None (is a `return` missing?)"


def outcome(function: Callable[..., Any], case: Case) -> Outcome:
    """Call a function on a copy of the case's input; ``NotImplementedError`` passes through."""
    try:
        return Outcome(function(*copy.deepcopy(case.args), **copy.deepcopy(dict(case.kwargs))))
    except NotImplementedError:
        raise
    except Exception as error:
        return Outcome(None, error)


def same(got: Any, wanted: Any, tolerance: float) -> bool:
    """Whether two answers agree: numbers within tolerance, all else equal, shapes included.

    Lists, tuples and arrays of numbers are one kind; so are a number and an array of shape ().
    """
    if isinstance(got, Outcome) and isinstance(wanted, Outcome):
        if got.error is not None or wanted.error is not None:
            return type(got.error) is type(wanted.error)
        return same(got.value, wanted.value, tolerance)
    if wanted is None or got is None:
        return got is wanted
    if isinstance(wanted, str | bytes | bool | np.bool_):
        return isinstance(got, type(wanted) | bool | np.bool_) and bool(got == wanted)
    if isinstance(wanted, set | frozenset):
        return isinstance(got, set | frozenset) and set(got) == set(wanted)
    if isinstance(wanted, Mapping):
        return (
            isinstance(got, Mapping)
            and set(got) == set(wanted)
            and all(same(got[key], wanted[key], tolerance) for key in wanted)
        )
    if isinstance(wanted, pd.DataFrame):
        return (
            isinstance(got, pd.DataFrame)
            and list(got.columns) == list(wanted.columns)
            and len(got) == len(wanted)
            and all(same(got[name].tolist(), wanted[name].tolist(), tolerance) for name in wanted)
        )
    return _same_arrays(_array(got), _array(wanted), tolerance)


def _same_arrays(got: Any, wanted: Any, tolerance: float) -> bool:
    """Compare what ``_array`` made: arrays of numbers, or sequences of anything."""
    if isinstance(got, np.ndarray) and isinstance(wanted, np.ndarray):
        return got.shape == wanted.shape and np.allclose(
            got, wanted, rtol=tolerance, atol=tolerance, equal_nan=True
        )
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(
            same(mine, theirs, tolerance) for mine, theirs in zip(got, wanted, strict=True)
        )
    if isinstance(got, np.ndarray | list) or isinstance(wanted, np.ndarray | list):
        return False
    return bool(got == wanted)


def _array(value: Any) -> Any:
    """Numbers and nests of them as a float array; other sequences as a list; else as it is."""
    if sparse.issparse(value):
        value = value.toarray()
    if type(value).__module__.startswith("torch") and hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, bool | np.bool_):
        return value
    if isinstance(value, Number):
        return np.asarray(value, dtype=complex if isinstance(value, complex) else float)
    if isinstance(value, pd.Series | pd.Index):
        value = value.to_numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value.astype(float)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        try:
            array = np.asarray(value)
        except ValueError:
            return list(value)
        return array.astype(float) if array.dtype.kind in "biuf" else list(value)
    return value


def shorten(value: Any, limit: int = 240) -> str:
    """A value in few words: arrays with their shape, long ones cut in the middle."""
    if sparse.issparse(value):
        value = value.toarray()
    if isinstance(value, np.ndarray):
        digits = np.array2string(value, precision=4, threshold=24, separator=", ")
        text = digits if value.ndim == 0 else f"array of shape {value.shape}: {digits}"
    elif isinstance(value, float | np.floating):
        text = f"{float(value):.6g}"
    elif isinstance(value, np.generic):
        text = repr(value.item())
    elif callable(value) and hasattr(value, "__name__"):
        text = f"the function {value.__name__}"
    elif isinstance(value, pd.DataFrame):
        text = f"table of {len(value)} rows and columns {list(value.columns)}"
    else:
        text = repr(value)
    half = limit // 2 - 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"
