"""Ids of users and items as arrays: whole numbers (int64) or text, as the data set writes them.

Tables, splits, saved models and recommendations all contain the ids of the user's data, so that a
model fitted on one file can be applied to another. Only within a model is an item an index, into
the sorted ``item_ids``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
import pandas as pd

from m6rec_lite.data.tables import DataError

log = logging.getLogger(__name__)

#: One id: a whole number or a text.
Id = int | str
#: What to do with unknown ids.
Unknown = Literal["raise", "drop"]


def as_ids(values: Any, name: str) -> np.ndarray:
    """Return ids as an array that sorts, compares and saves: int64, or fixed-width text.

    Args:
        values: whole numbers, or texts; a list, array or Series of one kind.
        name: name of the ids for messages, such as ``"item_id"``.

    Returns:
        ``(n,)`` int64, or numpy text (``<U``).

    Raises:
        DataError: if an id is missing, empty, a fraction, a date, or if numbers and text are mixed.
    """
    if isinstance(values, np.ndarray) and (values.dtype == np.int64 or values.dtype.kind == "U"):
        return values
    if not hasattr(values, "dtype"):
        values = list(values) if isinstance(values, Iterable) else [values]
    series = pd.Series(values, dtype=object if len(values) == 0 else None)
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    faults = id_faults(series)
    for problem, wrong, fix in faults:
        if wrong.any():
            first = series[wrong].tolist()[:5]
            raise DataError(
                f"{name}: {int(wrong.sum())} of {len(series)} ids {problem}, such as {first}; {fix}"
            )
    return _to_array(series)


def id_faults(values: pd.Series) -> list[tuple[str, np.ndarray, str]]:
    """Return possible faults of a column of ids: the problem, a mask of its rows, the fix."""
    n = len(values)
    missing = values.isna().to_numpy(dtype=bool, copy=True)
    faults = [("are missing (empty or NaN)", missing, "fill them in, or leave those rows out")]
    kind = values.dtype
    if pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_bool_dtype(kind):
        all_rows = np.ones(n, dtype=bool)
        return [(f"are of type {kind}", all_rows, "give whole numbers or text")]
    if pd.api.types.is_integer_dtype(kind):
        if kind == np.uint64:
            large = (values > np.iinfo(np.int64).max).to_numpy()
            faults.append(("are beyond 64 bits", large, 'make the column text: .astype("str")'))
        return faults
    if pd.api.types.is_float_dtype(kind):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            fractional = ~missing & ~(np.isfinite(numbers) & (numbers == np.floor(numbers)))
            large = ~missing & ~fractional & (np.abs(numbers) > 2.0**53)
        fix = 'round them, or make the column text: .astype("str")'
        faults.append(("are not whole numbers", fractional, fix))
        fix = "read the column as whole numbers or text, not as floats"
        faults.append(("are too large for a float to hold exactly", large, fix))
        return faults
    if isinstance(kind, pd.StringDtype):
        text = np.ones(n, dtype=bool)
    else:
        text = np.fromiter((isinstance(v, str) for v in values), bool, n)
        whole = np.fromiter((_is_whole(v) for v in values), bool, n)
        other = ~text & ~whole & ~missing
        faults.append(("are neither whole numbers nor text", other, "give one of the two"))
        if text.any() and whole.any():
            fix = 'the others are text: make the whole column text with .astype("str")'
            faults.append(("are numbers", whole, fix))
    text &= ~missing
    texts = values.where(pd.Series(text, values.index), "x").astype("str")
    faults.append(("are empty texts", (texts == "").to_numpy(dtype=bool), "fill them in"))
    zero = texts.str.contains("\0", regex=False).to_numpy(dtype=bool)
    faults.append(("hold a zero character", zero, "remove it"))
    return faults


def unique_ids(values: Any, name: str) -> np.ndarray:
    """Return the unique ids in ascending order; see ``as_ids``."""
    return np.unique(as_ids(values, name))


def find_ids(ids: Any, known: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each id in ``known``, and whether ``known`` contains it.

    Args:
        ids: ``(n,)`` whole numbers or text.
        known: ``(m,)`` ascending unique ids, from ``as_ids``.
        name: name of the ids, for messages.

    Returns:
        ``(n,)`` int64 indices, 0 where the id is not known; ``(n,)`` bool.

    Raises:
        DataError: if ``known`` is not ascending, or one is text and the other numbers.
    """
    ids = as_ids(ids, name)
    if (known[1:] <= known[:-1]).any():
        raise DataError(f"{name}s must ascend and not repeat; sort them with np.unique")
    if len(known) == 0 or len(ids) == 0:
        return np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=bool)
    check_same_kind(ids, known, name)
    index = np.searchsorted(known, ids)
    index[index == len(known)] = 0
    return index, known[index] == ids


def index_of_ids(ids: Any, known: np.ndarray, name: str) -> np.ndarray:
    """Return the index of each id in ``known``; see ``find_ids``.

    Raises:
        DataError: if an id is not known; the message names the first five.
    """
    ids = as_ids(ids, name)
    index, is_known = find_ids(ids, known, name)
    if not is_known.all():
        first, n = np.unique(ids[~is_known])[:5].tolist(), int((~is_known).sum())
        raise DataError(
            f"unknown {name.removesuffix('_id')}: {first} (of {n} such entries) are not among the "
            f'{len(known)} known ids; leave them out (unknown="drop" where it is offered), or fit '
            "on data that has them"
        )
    return index


def check_unknown(unknown: str) -> None:
    """Raise ``ValueError`` unless it is one of ``Unknown``."""
    if unknown not in ("raise", "drop"):
        raise ValueError(f"unknown must be 'raise' or 'drop', not {unknown!r}")


def known_ids(ids: np.ndarray, known: np.ndarray, name: str) -> np.ndarray:
    """Return ``(n,)`` bool: which ids are known. Log the others as dropped."""
    _, is_known = find_ids(ids, known, name)
    if not is_known.all():
        unknown = np.unique(ids[~is_known])
        log.warning(
            "dropped %d rows of %d unknown %ss, such as %s",
            int((~is_known).sum()), len(unknown), name, unknown[:5].tolist(),
        )  # fmt: skip
    return is_known


def no_id(ids: np.ndarray) -> Id:
    """Return the value for "no item" among such ids: -1 for whole numbers, "" for text."""
    return "" if ids.dtype.kind == "U" else -1


def is_id(value: Id) -> bool:
    """Return whether a value is an id, and not ``no_id``."""
    return value != "" if isinstance(value, str) else value >= 0


def check_same_kind(ids: np.ndarray, other: np.ndarray, name: str) -> None:
    """Raise ``DataError`` if one array of ids holds text and the other whole numbers."""
    if not len(ids) or not len(other) or (ids.dtype.kind == "U") == (other.dtype.kind == "U"):
        return
    number, text = (other, ids) if ids.dtype.kind == "U" else (ids, other)
    raise DataError(
        f"{name}: one side holds whole numbers such as {number[:3].tolist()} and the other text "
        f"such as {text[:3].tolist()}, so they cannot be matched. Make both the same: read the "
        'numbers as text with text_ids=True, or frame[column].astype("str")'
    )


def _to_array(series: pd.Series) -> np.ndarray:
    """Return a Series of ids without faults as an array; see ``as_ids``."""
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.int64)
    if len(series) == 0:
        return np.zeros(0, dtype=np.int64)
    values = series.to_numpy(dtype=object)
    return np.asarray(values, dtype=np.str_ if isinstance(values[0], str) else np.int64)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
