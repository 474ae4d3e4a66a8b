"""Parsing and checking of one column of a table."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from m6rec_lite.data.ids import as_ids, id_faults
from m6rec_lite.data.tables import EVENTS, Column, DataError

#: (problem, ``(n,)`` mask of faulty rows, how to fix it)
Fault = tuple[str, np.ndarray, str]

_WHOLE = ("time", "integer", "small")
_NUMERIC = (*_WHOLE, "number")
_TRUE, _FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")


def read(
    values: pd.Series, column: Column, source: str, name: str
) -> tuple[pd.Series, list[Fault]]:
    """Parse the values of a column.

    Args:
        values: the user's values; numbers, flags and dates may be text.
        column: the contract.
        source: name of the file, for messages.
        name: name of the column, for messages.

    Returns:
        The values, missing where they cannot be parsed, and the faults. A mask may be all False.

    Raises:
        DataError: if the whole column has another type.
    """
    missing = values.isna().to_numpy(dtype=bool, copy=True)
    if column.kind == "id":
        faults = id_faults(values)
        return values, faults if column.values == "required" else faults[1:]
    if column.kind in _NUMERIC:
        parsed, faults = _read_numbers(values, missing, column, source, name)
    elif column.kind == "tags":
        parsed, faults = _read_tags(values)
        missing[:] = False
    else:
        parsed, faults = _read_labels(values, missing, column)
    if column.values == "required":
        faults.insert(0, ("are missing (empty or NaN)", missing, "fill them in"))
    return parsed, faults


def _read_numbers(
    values: pd.Series, missing: np.ndarray, column: Column, source: str, name: str
) -> tuple[pd.Series, list[Fault]]:
    if column.kind == "time":
        values = _seconds_of_dates(values)
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or values.dtype == bool:
        wanted = "unix seconds or datetime64" if column.kind == "time" else "numbers"
        raise DataError(f"{source}, column {name}: holds {values.dtype}, wanted {wanted}")
    numbers = values
    if not pd.api.types.is_numeric_dtype(values.dtype):
        numbers = pd.to_numeric(values, errors="coerce")
    array = numbers.to_numpy()
    if pd.api.types.is_extension_array_dtype(numbers.dtype):
        # nullable and Arrow types; a float array would round large integers
        kind = numbers.dtype.numpy_dtype
        array = numbers.fillna(0).to_numpy(dtype=kind)
    faults: list[Fault] = []
    if array.dtype.kind == "f":
        unread = np.isnan(array) & ~missing
        fix = _time_fix(values[unread]) if column.kind == "time" and unread.any() else "use numbers"
        faults.append(("are not numbers", unread, fix))
        faults.append(("are infinite", np.isinf(array), "replace them by finite numbers"))
        if column.kind in _WHOLE:
            finite = np.isfinite(array)
            fractional = finite & (array != np.floor(array))
            fix = "round them"
            if column.kind == "time":
                fix += ', or read with timestamp_unit="s", which truncates them'
            faults.append(("are not whole numbers", fractional, fix))
            faults.append(("are beyond 64 bits", finite & (np.abs(array) >= 2.0**63), "shorten"))
    with np.errstate(invalid="ignore"):
        dates = _date_format(array[~missing]) if column.kind == "time" else None
        if dates is not None:
            fix = (
                f'read with timestamp_unit="{dates}", or convert with pd.to_datetime('
                f'frame["{name}"].astype("str"), format="{dates}")'
            )
            faults.append(("hold dates written as numbers, not unix seconds", ~missing, fix))
        elif column.kind == "time":
            for unit, short, limit, divisor in _UNITS:
                too_large = (np.abs(array.astype(np.float64)) >= limit) & np.isfinite(array)
                if too_large.any():
                    fix = f'divide by {divisor:,}, or read with timestamp_unit="{short}"'
                    faults.append((f"hold {unit}, not seconds", too_large, fix))
                    break
        if column.low is not None:
            faults.append((f"lie below {column.low:g}", array < column.low, "correct them"))
        if column.high is not None:
            faults.append((f"lie above {column.high:g}", array > column.high, "correct them"))
    return numbers, faults


#: (name, short name, least value that cannot be seconds in this millennium, units per second)
_UNITS = (
    ("nanoseconds", "ns", 1e17, 10**9),
    ("microseconds", "us", 1e14, 10**6),
    ("milliseconds", "ms", 1e11, 10**3),
)
#: Formats of dates and of times of day that are recognised in messages.
_DAYS = (
    "%m/%d/%Y", "%d/%m/%Y", "%m/%d/%y", "%d/%m/%y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d",
    "%Y.%m.%d", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y",
)  # fmt: skip
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p")


def _time_fix(values: pd.Series) -> str:
    """Return how to read times that are not numbers: the formats that fit all of them."""
    texts = pd.Series(values.astype("str").str.strip().unique()[:1000])

    def fits(form: str) -> bool:
        return not pd.to_datetime(texts, format=form, utc=True, errors="coerce").isna().any()

    if fits("ISO8601"):
        return 'give unix seconds or datetime64, or read with timestamp_unit="iso"'
    forms = [form for day in _DAYS for clock in _CLOCKS if fits(form := day + clock)]
    if forms:
        options = " or ".join(f'timestamp_unit="{form}"' for form in forms)
        ambiguous = " (both fit these rows: which comes first, the month?)"
        return f"read with {options}{ambiguous if len(forms) > 1 else ''}"
    return (
        'give unix seconds or datetime64, or read dates as text with timestamp_unit="iso" or a '
        'format such as "%m/%d/%Y %H:%M"'
    )


def read_times(values: pd.Series, name: str) -> np.ndarray:
    """Return moments as ``(n,)`` int64 unix seconds.

    Args:
        values: whole unix seconds, or ``datetime64`` of any unit and time zone (UTC where it names
            none); fractions of a second of a ``datetime64`` are truncated.
        name: name of the column, for messages.

    Raises:
        DataError: if a moment is missing, a fraction, or cannot be in seconds (milliseconds, or a
            date written as a number such as 20141118).
    """
    values = pd.Series(values)
    parsed, faults = read(values, Column("time"), "interactions", name)
    for problem, wrong, fix in faults:
        if wrong.any():
            first = values[wrong].tolist()[:5]
            raise DataError(
                f"interactions, column {name}: {int(wrong.sum())} of {len(values)} rows {problem}, "
                f"such as {first}; {fix}"
            )
    return parsed.to_numpy(dtype=np.int64)


def _seconds_of_dates(values: pd.Series) -> pd.Series:
    """Return ``datetime64`` values as unix seconds (Int64, missing where NaT), others unchanged."""
    if len(values) and isinstance(values.iloc[0], date):  # pd.Timestamp is one too
        values = pd.to_datetime(values, utc=True)
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    seconds = values.astype("datetime64[s]").astype("int64").astype("Int64")
    return seconds.mask(values.isna())


def _date_format(numbers: np.ndarray) -> str | None:
    """Return the format if all numbers are dates such as 20141118 or 20141118093000."""
    numbers = numbers[np.isfinite(numbers.astype(np.float64))].astype(np.float64)
    for form, scale in (("%Y%m%d", 1.0), ("%Y%m%d%H%M%S", 1e6)):
        day = np.floor(numbers / scale)
        clock = numbers - day * scale
        year, month, day = day // 10_000, day // 100 % 100, day % 100
        hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
        fits = (year >= 1900) & (year <= 2100) & (month >= 1) & (month <= 12)
        fits &= (day >= 1) & (day <= 31) & (hour < 24) & (minute < 60) & (second < 60)
        if len(numbers) and fits.all():
            return form
    return None


def _read_tags(values: pd.Series) -> tuple[pd.Series, list[Fault]]:
    rows, bad = [], np.zeros(len(values), dtype=bool)
    for index, value in enumerate(values.array):
        if isinstance(value, str):
            rows.append([tag.strip() for tag in value.split("|") if tag.strip()])
        elif isinstance(value, (list, tuple, np.ndarray)):
            rows.append(list(value))
            bad[index] = not all(isinstance(tag, str) for tag in value)
        else:
            rows.append([])
            bad[index] = not pd.isna(value)
    fix = "give a list of texts, or one text with | between the tags"
    return pd.Series(rows, index=values.index, dtype=object), [("are not tags", bad, fix)]


def _read_labels(
    values: pd.Series, missing: np.ndarray, column: Column
) -> tuple[pd.Series, list[Fault]]:
    if column.kind == "date":
        dates = pd.to_datetime(values, errors="coerce", format="ISO8601")
        return dates, [("are not dates", dates.isna().to_numpy() & ~missing, "write YYYY-MM-DD")]
    if column.kind == "flag":
        if values.dtype == bool:
            return values, []
        lower = values.astype("str").str.lower()
        known = lower.isin(_TRUE + _FALSE).to_numpy(dtype=bool)
        return lower.isin(_TRUE), [("are neither true nor false", ~known & ~missing, "use 0 or 1")]
    if column.kind == "event":
        known = values.isin(EVENTS).to_numpy(dtype=bool)
        fix = f'use {EVENTS}, or rename with events={{"<yours>": "click"}}'
        return values, [("name an unknown event", ~known & ~missing, fix)]
    if isinstance(values.dtype, (pd.StringDtype, pd.CategoricalDtype)):
        return values, []
    not_text = np.fromiter((not isinstance(v, str) for v in values.array), bool, len(values))
    return values, [("are not text", not_text & ~missing, 'convert with astype("str")')]


def cast(values: pd.Series, column: Column) -> pd.Series:
    """Return values that ``read`` found no fault in, converted to the contract's type."""
    nullable = column.values == "optional"
    match column.kind:
        case "id":
            return _cast_ids(values)
        case "time" | "integer":
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
            return values.astype(pd.CategoricalDtype(list(EVENTS), ordered=True))
        case "category":
            if isinstance(values.dtype, pd.CategoricalDtype):
                return values
            return values.astype("str").astype("category")
        case "text":
            return values.astype("str")
        case _:  # tags
            return values.map(lambda tags: tags if isinstance(tags, list) else [])


def _cast_ids(values: pd.Series) -> pd.Series:
    """Return ids as int64 or text; as nullable Int64 or text if some are missing."""
    present = values.notna()
    if present.all():
        ids = as_ids(values, str(values.name))
        return pd.Series(ids, values.index, "str" if ids.dtype.kind == "U" else "int64")
    ids = as_ids(values[present], str(values.name))
    kind = "str" if ids.dtype.kind == "U" else "Int64"
    return pd.Series(ids, values.index[present], kind).reindex(values.index)
