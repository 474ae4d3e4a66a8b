"""How one column of a table is read, and what may be wrong with it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from m6rec_lite.data.tables import EVENTS, Column, DataError

#: (what is wrong, where, how to mend it)
Fault = tuple[str, np.ndarray, str]

_WHOLE = ("id", "time", "integer", "small")
_NUMERIC = (*_WHOLE, "number")
_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


def read(
    values: pd.Series, column: Column, source: str, name: str
) -> tuple[pd.Series, list[Fault]]:
    """Read the values of a column as far as they can be read.

    Args:
        values: as the user gave them; numbers, flags and dates may be text.
        column: the contract.
        source: the file, for messages.
        name: of the column, for messages.

    Returns:
        the values, missing where they cannot be read, and the faults found: what is wrong, a mask
        of the rows, and the mend. A mask may be empty.

    Raises:
        DataError: if the whole column is of another type.
    """
    missing = values.isna().to_numpy(dtype=bool, copy=True)
    if column.kind in _NUMERIC:
        read, faults = _read_numbers(values, missing, column, source, name)
    elif column.kind == "tags":
        read, faults = _read_tags(values)
        missing[:] = False
    else:
        read, faults = _read_labels(values, missing, column)
    if column.values == "required":
        faults.insert(0, ("are missing (empty or NaN)", missing, "fill them in"))
    return read, faults


def _read_numbers(
    values: pd.Series, missing: np.ndarray, column: Column, source: str, name: str
) -> tuple[pd.Series, list[Fault]]:
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or values.dtype == bool:
        mend = "whole unix seconds" if column.kind == "time" else "numbers"
        raise DataError(
            f"{source}, column {name}: holds {values.dtype}, wanted {mend}"
            + (f'; convert with frame["{name}"].astype("datetime64[s]").astype("int64")'
               if values.dtype != bool else "")
        )  # fmt: skip
    numbers = values
    if not pd.api.types.is_numeric_dtype(values.dtype):
        numbers = pd.to_numeric(values, errors="coerce")
    array = numbers.to_numpy()
    if pd.api.types.is_extension_array_dtype(numbers.dtype):  # whole numbers stay exact
        array = numbers.fillna(0).to_numpy(dtype=numbers.dtype.numpy_dtype)
    faults: list[Fault] = []
    if array.dtype.kind == "f":
        unread = np.isnan(array) & ~missing
        faults.append(("are not numbers", unread, _NUMBER_MENDS.get(column.kind, "use numbers")))
        faults.append(("are infinite", np.isinf(array), "replace them by finite numbers"))
        if column.kind in _WHOLE:
            finite = np.isfinite(array)
            broken = finite & (array != np.floor(array))
            faults.append(("are not whole numbers", broken, "round them"))
            faults.append(("are beyond 64 bits", finite & (np.abs(array) >= 2.0**63), "shorten"))
    with np.errstate(invalid="ignore"):
        if column.kind == "time":
            for unit, short, limit, divisor in _UNITS:
                late = (np.abs(array.astype(np.float64)) >= limit) & np.isfinite(array)
                if late.any():
                    mend = f'divide by {divisor:,}, or read with timestamp_unit="{short}"'
                    faults.append((f"hold {unit}, not seconds", late, mend))
                    break
        if column.low is not None:
            faults.append((f"lie below {column.low:g}", array < column.low, "correct them"))
        if column.high is not None:
            faults.append((f"lie above {column.high:g}", array > column.high, "correct them"))
    return numbers, faults


#: (name, short name, least value that cannot be seconds in this millennium, units a second)
_UNITS = (
    ("nanoseconds", "ns", 1e17, 10**9),
    ("microseconds", "us", 1e14, 10**6),
    ("milliseconds", "ms", 1e11, 10**3),
)
_NUMBER_MENDS = {
    "time": 'give unix seconds, or read dates with timestamp_unit="iso"',
    "id": "give whole numbers, or read with read_csv, which numbers ids that are text",
}


def _read_tags(values: pd.Series) -> tuple[pd.Series, list[Fault]]:
    rows, bad = [], np.zeros(len(values), dtype=bool)
    for place, value in enumerate(values.array):
        if isinstance(value, str):
            rows.append([tag.strip() for tag in value.split("|") if tag.strip()])
        elif isinstance(value, (list, tuple, np.ndarray)):
            rows.append(list(value))
            bad[place] = not all(isinstance(tag, str) for tag in value)
        else:
            rows.append([])
            bad[place] = not pd.isna(value)
    mend = "give a list of texts, or one text with | between the tags"
    return pd.Series(rows, index=values.index, dtype=object), [("are not tags", bad, mend)]


def _read_labels(
    values: pd.Series, missing: np.ndarray, column: Column
) -> tuple[pd.Series, list[Fault]]:
    if column.kind == "date":
        read = pd.to_datetime(values, errors="coerce", format="ISO8601")
        return read, [("are not dates", read.isna().to_numpy() & ~missing, "write YYYY-MM-DD")]
    if column.kind == "flag":
        if values.dtype == bool:
            return values, []
        lower = values.astype("str").str.lower()
        known = lower.isin(_TRUE + _FALSE).to_numpy(dtype=bool)
        return lower.isin(_TRUE), [("are neither true nor false", ~known & ~missing, "use 0 or 1")]
    if column.kind == "event":
        known = values.isin(EVENTS).to_numpy(dtype=bool)
        mend = f'use {EVENTS}, or rename with events={{"<yours>": "click"}}'
        return values, [("name an unknown event", ~known & ~missing, mend)]
    if isinstance(values.dtype, (pd.StringDtype, pd.CategoricalDtype)):
        return values, []
    not_text = np.fromiter((not isinstance(v, str) for v in values.array), bool, len(values))
    return values, [("are not text", not_text & ~missing, 'convert with astype("str")')]


def cast(values: pd.Series, column: Column) -> pd.Series:
    """Give values the contract's type; ``read`` found no fault with them."""
    nullable = column.values == "optional"
    match column.kind:
        case "id" | "time" | "integer":
            if nullable:
                return values.astype("float64" if values.dtype == object else values.dtype).astype(
                    "Int64"
                )
            return values.astype("int64")
        case "small":
            return values.astype("int8")
        case "number":
            return values.astype("float32")
        case "flag":
            return values.astype("bool")
        case "date":
            return values.astype("datetime64[s]")
        case "event":
            return values.astype(pd.CategoricalDtype(EVENTS, ordered=True))
        case "category":
            if isinstance(values.dtype, pd.CategoricalDtype):
                return values
            return values.astype("str").astype("category")
        case "text":
            return values.astype("str")
        case _:  # tags
            return values.map(lambda tags: tags if isinstance(tags, list) else [])
