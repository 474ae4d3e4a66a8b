"""Compare an answer with the expected one; describe values and their differences briefly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse


def difference(output: Any, expected: Any, tolerance: float, at: str = "") -> str:
    """Describe the first difference between two values; "" where they agree.

    Numbers agree within the tolerance; everything else must be equal, including shapes. Lists,
    tuples, arrays, Series and tensors of numbers are equivalent, as are a number and an array of
    shape ().

    Args:
        output: result of the learner's function.
        expected: expected result.
        tolerance: absolute and relative tolerance.
        at: index of both values in their containers.
    """
    if isinstance(output, pd.Series) and isinstance(expected, Mapping):
        output = output.to_dict()
    output, expected = _plain(output), _plain(expected)
    if isinstance(output, np.ndarray) and isinstance(expected, np.ndarray):
        return _array_difference(output, expected, tolerance, at)
    if isinstance(output, np.ndarray | list) and isinstance(expected, np.ndarray | list):
        if any(isinstance(value, np.ndarray) and not value.ndim for value in (output, expected)):
            return f"{_at(at)}{_kind(output)} where {_kind(expected)} was expected"
        if len(output) != len(expected):
            return f"{_at(at)}length {len(output)} where {len(expected)} was expected"
        return _first(
            difference(left, right, tolerance, f"{at}[{i}]")
            for i, (left, right) in enumerate(zip(output, expected, strict=True))
        )
    if isinstance(output, Mapping) and isinstance(expected, Mapping):
        return _keys_difference(set(output), set(expected), at) or _first(
            difference(output[key], expected[key], tolerance, f"{at}[{key!r}]") for key in expected
        )
    if isinstance(output, set) and isinstance(expected, set):
        return _keys_difference(output, expected, at)
    if _kind(output) != _kind(expected):
        return f"{_at(at)}{_kind(output)} where {_kind(expected)} was expected"
    return "" if output is expected or bool(output == expected) else _unequal(output, expected, at)


def _array_difference(output: np.ndarray, expected: np.ndarray, tolerance: float, at: str) -> str:
    """Describe the first difference between two arrays of numbers or booleans."""
    if output.shape != expected.shape:
        if expected.ndim and output.ndim:
            return f"{_at(at)}shape {output.shape} where {expected.shape} was expected"
        return f"{_at(at)}{_kind(output)} where {_kind(expected)} was expected"
    if output.size and (output.dtype == bool) != (expected.dtype == bool):
        return f"{_at(at)}{_kind(output)} where {_kind(expected)} was expected"
    agree = np.isclose(output, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    if agree.all():
        return ""
    index = tuple(int(i) for i in np.argwhere(~agree)[0])
    inside = f"[{', '.join(map(str, index))}]" if index else ""
    return _unequal(output[index].item(), expected[index].item(), at + inside)


def _keys_difference(output: set[Any], expected: set[Any], at: str) -> str:
    """Describe what is missing in a set, or what should not be in it."""
    for verb, keys in (("lacks", expected - output), ("should not have", output - expected)):
        if keys:
            names = sorted(map(repr, keys))
            return f"{_at(at)}the result {verb} {shorten_text(', '.join(names), 80)}"
    return ""


def _first(differences: Iterable[str]) -> str:
    return next((text for text in differences if text), "")


def _at(at: str) -> str:
    return f"at index {at}: " if at else ""


def _unequal(output: Any, expected: Any, at: str) -> str:
    """Describe two different values, with enough digits to show the difference."""
    texts = shorten(output, 60), shorten(expected, 60)
    if texts[0] == texts[1]:
        texts = repr(output), repr(expected)
    return f"{_at(at)}{texts[0]}, expected {texts[1]}"


def _plain(value: Any) -> Any:
    """Convert numbers and nested sequences of them to an array, other sequences to a list."""
    if sparse.issparse(value):
        value = value.toarray()
    if type(value).__module__.startswith("torch") and hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, pd.DataFrame):
        return value.to_dict("list")
    if isinstance(value, pd.Series | pd.Index):
        value = value.to_numpy()
    if isinstance(value, frozenset):
        return set(value)
    if isinstance(value, np.str_ | np.bytes_):
        return value.item()
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Number | np.generic | np.ndarray | Sequence):
        try:
            array = np.asarray(value)
        except ValueError:  # ragged nested sequence
            return [*value] if isinstance(value, Sequence) else value
        if array.dtype.kind == "b":
            return array
        if array.dtype.kind in "iufc":
            return array.astype(complex if array.dtype.kind == "c" else float)
        return list(value) if isinstance(value, Sequence) else array.tolist()
    return value


def _kind(value: Any) -> str:
    """Return a readable name of a value's type."""
    if value is None:
        return "None"
    if isinstance(value, np.ndarray):
        content = "bool" if value.dtype == bool else "number"
        return f"an array of {content}s" if value.ndim else f"a {content}"
    kinds = {str: "text", Mapping: "a dictionary", set: "a set", list: "a list"}
    for of, name in kinds.items():
        if isinstance(value, of):
            return name
    return "a function" if callable(value) else f"a value of type {type(value).__name__}"


def shorten(value: Any, limit: int = 240) -> str:
    """Describe a value briefly: arrays with their shape, long texts cut in the middle."""
    if sparse.issparse(value):
        value = value.toarray()
    if isinstance(value, np.ndarray):
        digits = np.array2string(value, precision=4, threshold=24, separator=", ")
        digits = " ".join(digits.split())
        text = digits if value.ndim == 0 else f"array of shape {value.shape}: {digits}"
    elif isinstance(value, float | np.floating):
        text = f"{float(value):.6g}"
    elif isinstance(value, np.generic):
        text = repr(value.item())
    elif callable(value) and hasattr(value, "__name__"):
        text = f"the function {value.__name__}"
    elif isinstance(value, list | tuple) and any(isinstance(x, np.ndarray) for x in value):
        text = f"({', '.join(shorten(part, limit // len(value)) for part in value)})"
    elif isinstance(value, pd.DataFrame):
        text = f"table of {len(value)} rows and columns {list(value.columns)}"
    else:
        text = repr(value)
    return shorten_text(text, limit)


def shorten_text(text: str, limit: int) -> str:
    """Cut a long text in the middle."""
    half = limit // 2 - 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"
