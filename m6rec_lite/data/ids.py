"""Ids of users and items as arrays: whole numbers (int64) or text, as the data set writes them.

An id is never renumbered: tables, splits, saved models and recommendations all carry what the user
wrote, so a model that was fitted on one file can be used beside another. Inside a model an item is
an index into the sorted ``item_ids``; that index never leaves the model.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.tables import DataError

log = logging.getLogger(__name__)

#: One id: a whole number or a text.
Id = int | str


def as_ids(values: Any, name: str) -> np.ndarray:
    """Return ids as an array that sorts, compares and saves: int64, or fixed-width text.

    Args:
        values: whole numbers, or texts; a list, array or Series of one kind.
        name: what they are, such as ``"item_id"``, for messages.

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
    """Return what may be wrong with a column of ids: the problem, a mask of its rows, the fix."""
    n = len(values)
    missing = values.isna().to_numpy(dtype=bool, copy=True)
    faults = [("are missing (empty or NaN)", missing, "fill them in, or leave those rows out")]
    kind = values.dtype
    if pd.api.types.is_datetime64_any_dtype(kind) or pd.api.types.is_bool_dtype(kind):
        everywhere = np.ones(n, dtype=bool)
        return [(f"are of type {kind}", everywhere, "give whole numbers or text")]
    if pd.api.types.is_integer_dtype(kind):
        if kind == np.uint64:
            large = (values > np.iinfo(np.int64).max).to_numpy()
            faults.append(("are beyond 64 bits", large, 'make the column text: .astype("str")'))
        return faults
    if pd.api.types.is_float_dtype(kind):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            broken = ~missing & ~(np.isfinite(numbers) & (numbers == np.floor(numbers)))
            large = ~missing & ~broken & (np.abs(numbers) > 2.0**53)
        fix = 'round them, or make the column text: .astype("str")'
        faults.append(("are not whole numbers", broken, fix))
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
    written = values.where(pd.Series(text, values.index), "x").astype("str")
    faults.append(("are empty texts", (written == "").to_numpy(dtype=bool), "fill them in"))
    zero = written.str.contains("\0", regex=False).to_numpy(dtype=bool)
    faults.append(("hold a zero character", zero, "remove it"))
    return faults


def unique_ids(values: Any, name: str) -> np.ndarray:
    """Return the different ids in ascending order; see ``as_ids``."""
    return np.unique(as_ids(values, name))


def find_ids(ids: Any, known: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each id in ``known`` and whether it is there.

    Args:
        ids: ``(n,)`` whole numbers or text.
        known: ``(m,)`` ascending ids without repeats, from ``as_ids``.
        name: what they are, for messages.

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
        DataError: if an id is not known, naming the first of them.
    """
    ids = as_ids(ids, name)
    index, there = find_ids(ids, known, name)
    if not there.all():
        first, n = np.unique(ids[~there])[:5].tolist(), int((~there).sum())
        raise DataError(
            f"unknown {name.removesuffix('_id')}: {first} (of {n} such entries) are not among the "
            f'{len(known)} known ids; leave them out (unknown="drop" where it is offered), or fit '
            "on data that has them"
        )
    return index


def known_ids(ids: np.ndarray, known: np.ndarray, name: str) -> np.ndarray:
    """Return which ids are known, and log the others as dropped; see ``find_ids``."""
    _, there = find_ids(ids, known, name)
    if not there.all():
        strange = np.unique(ids[~there])
        log.warning(
            "dropped %d rows of %d unknown %ss, such as %s",
            int((~there).sum()), len(strange), name, strange[:5].tolist(),
        )  # fmt: skip
    return there


def no_id(ids: np.ndarray) -> Id:
    """Return what stands for "no item" beside these ids: -1 beside numbers, "" beside text."""
    return "" if ids.dtype.kind == "U" else -1


def is_id(value: Id) -> bool:
    """Return whether a value names something, rather than being ``no_id``."""
    return value != "" if isinstance(value, str) else value >= 0


def check_same_kind(one: np.ndarray, other: np.ndarray, name: str) -> None:
    """Raise ``DataError`` if one array of ids holds text and the other whole numbers."""
    if not len(one) or not len(other) or (one.dtype.kind == "U") == (other.dtype.kind == "U"):
        return
    number, text = (other, one) if one.dtype.kind == "U" else (one, other)
    raise DataError(
        f"{name}: one side holds whole numbers such as {number[:3].tolist()} and the other text "
        f"such as {text[:3].tolist()}, so they cannot be matched. Make both the same: read the "
        'numbers as text with text_ids=True, or frame[column].astype("str")'
    )


def _to_array(series: pd.Series) -> np.ndarray:
    """``as_ids`` of a Series without faults."""
    if pd.api.types.is_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.int64)
    if len(series) == 0:
        return np.zeros(0, dtype=np.int64)
    values = series.to_numpy(dtype=object)
    return np.asarray(values, dtype=np.str_ if isinstance(values[0], str) else np.int64)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
