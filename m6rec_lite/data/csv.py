"""Reader of the user's own data: one CSV file of interactions, or a folder with one CSV per table.

Format (``delimited``) and content (``contracts``) are checked strictly. Files are read in blocks,
so that memory grows with the number of rows and not with the size of the text. Ids are whole
numbers or text, as in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from m6rec_lite.data.contracts import drop_repeats
from m6rec_lite.data.delimited import MISSING, Form, blocks, inspect
from m6rec_lite.data.own import HOMES, ReadOptions, complete, known_columns
from m6rec_lite.data.tables import TABLES, DataError, Dataset


def read_csv(
    path: Path | str,
    *,
    columns: Mapping[str, Any] | None = None,
    events: Mapping[str, str] | None = None,
    event: str | None = None,
    timestamp: str = "column",
    timestamp_unit: str = "s",
    text_ids: bool = False,
    sep: str | None = None,
    encoding: str = "utf-8",
    name: str | None = None,
    domain: str | None = None,
    on_bad_rows: str = "raise",
    block_bytes: int = 1 << 20,
    progress: bool = True,
) -> Dataset:
    """Read a CSV file of interactions, or a folder of CSV files named after their tables.

    A folder holds ``interactions.csv`` and optionally ``items.csv``, ``users.csv``,
    ``impressions.csv``, ``queries.csv`` and so on (see ``TABLES``). Names may end in ``.csv.gz``.
    Tables of items and users that are missing are built from the ids and from the columns of items
    or users (``title``, ``price``, ``city`` …) in the interactions.

    Args:
        path: file or folder.
        columns: contract's name → name in the file, such as ``{"user_id": "customer"}``; for a
            folder with several tables ``{"interactions": {…}, "items": {…}}``.
        events: the file's names of events → names in ``EVENTS``, such as ``{"buy": "purchase"}``.
        event: event of all rows if the file has no such column; by default ``rate`` if it has a
            ``value``, else ``click``. A missing ``value`` column means 1.
        timestamp: ``column``; or ``row`` if the file has no times and its rows are in
            chronological order: row numbers are then used as timestamps.
        timestamp_unit: of the file: ``s``, ``ms``, ``us``, ``ns`` since 1970, ``iso`` for dates as
            text, or a format such as ``%Y%m%d`` (UTC unless they name a zone). Fractions of a
            second are truncated, except with ``s``, where they are an error.
        text_ids: read ids as text even if all are whole numbers, to match another file with ids
            of text.
        sep: separator; by default the one of ``,;|`` and tab that fits the header.
        encoding: encoding of the text; a byte-order mark is skipped.
        name: name of the data set; by default that of the file.
        domain: domain of all items, if no table has domains.
        on_bad_rows: ``raise`` or ``drop``.
        block_bytes: size of a block; at least that of the longest row.
        progress: whether to show a progress bar (after two seconds).

    Returns:
        The data set; rows are in file order.

    Raises:
        DataError: if a file cannot be read or breaks its contract; the message names the file, the
            column, the first faulty rows and the fix.
        ValueError: if an argument is out of range.
    """
    path = Path(path)
    options = ReadOptions.of(
        columns, path.name, events=dict(events or {}), event=event, timestamp=timestamp,
        timestamp_unit=timestamp_unit, on_bad_rows=on_bad_rows,
    )  # fmt: skip
    forms = {}
    for table, file in _files(path).items():
        names = options.columns.get(table, {})
        wanted = [names.get(column, column) for column in options.required(table)]
        forms[table] = inspect(file, sep=sep, encoding=encoding, wanted=wanted)
        options.check_header(table, [n for n in forms[table].names if n], file.name)
    text = set(HOMES) if text_ids else set()
    while True:
        ids = {column: _Ids(column, column in text) for column in HOMES}
        options.dropped.clear()
        try:
            frames = {
                table: _read_table(table, form, options, ids, block_bytes, progress)
                for table, form in forms.items()
            }
            break
        except _IdsAreText as error:  # read again, with these ids as text
            text.add(error.column)
    label = name or path.name.removesuffix(".gz").removesuffix(".csv")
    sources = {table: form.path.name for table, form in forms.items()}
    used = _used("interactions", forms["interactions"], options)
    unread = [n for n in forms["interactions"].names if n and n not in used]
    return complete(frames, options, sources=sources, name=label, domain=domain, unread=unread)


def _read_table(
    table: str,
    form: Form,
    options: ReadOptions,
    ids: dict[str, _Ids],
    block_bytes: int,
    progress: bool,
) -> pd.DataFrame:
    """Read one file as a table, block by block."""
    parts = []
    for block in blocks(
        form, columns=_used(table, form, options), block_bytes=block_bytes,
        on_bad_rows=options.on_bad_rows, dropped=options.dropped, progress=progress,
    ):  # fmt: skip
        shown = options.renamed(table, block)
        for column in map(str, shown):
            kind = _kind(column)
            if kind not in ("text", "category", "event"):  # a title may be "None"
                shown[column] = shown[column].mask(shown[column].isin(MISSING))
            if column in ids:
                shown[column] = ids[column].read(shown[column])
        parts.append(options.read(table, shown, form.path.name, unique=False))
    if not parts:
        raise DataError(f"{form.path.name} has a header but no rows")
    return drop_repeats(
        table, _join(parts), source=form.path.name,
        on_bad_rows=options.on_bad_rows, dropped=options.dropped,
    )  # fmt: skip


def _kind(column: str) -> str:
    """Return the kind of a column in the first table that has it; ``text`` if none has it."""
    tables = (table.columns for table in TABLES.values())
    return next((columns[column].kind for columns in tables if column in columns), "text")


class _IdsAreText(Exception):
    """Raised if an id is not a plain whole number, with the name of its column."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class _Ids:
    """Parser of a column of ids, as whole numbers or as text.

    A leading zero makes all ids text, since ``007`` and ``7`` may be different products.

    Args:
        column: name of the column.
        text: whether to read text.
    """

    def __init__(self, column: str, text: bool) -> None:
        self.column, self.text = column, text

    def read(self, values: pd.Series) -> pd.Series:
        """Return ids as Int64 or text, without blanks around them; missing ids stay missing.

        Raises:
            _IdsAreText: if whole numbers are expected and an id is not one.
        """
        trimmed = pc.utf8_trim_whitespace(pa.array(values, type=pa.string(), from_pandas=True))
        trimmed = pc.replace_with_mask(trimmed, pc.equal(trimmed, ""), pa.scalar(None, pa.string()))
        if self.text:
            return pd.Series(trimmed.to_pandas(), dtype="str").set_axis(values.index)
        plain = pc.match_substring_regex(trimmed, r"^(0|-?[1-9][0-9]{0,17})$")
        if not pc.all(plain, min_count=0).as_py():
            raise _IdsAreText(self.column)
        return pd.Series(pc.cast(trimmed, pa.int64()), values.index, "Int64")


def _files(path: Path) -> dict[str, Path]:
    """Return the file of each table."""
    if path.is_file():
        return {"interactions": path}
    if not path.is_dir():
        raise DataError(f"{path} does not exist; give a CSV file or a folder of them")
    files = {
        table: path / f"{table}{ending}"
        for table in TABLES
        for ending in (".csv.gz", ".csv")
        if (path / f"{table}{ending}").is_file()
    }
    if "interactions" not in files:
        others = sorted(file.name for file in path.iterdir())[:10]
        raise DataError(
            f"{path} holds no interactions.csv (it holds {others}); rename the file of events to "
            "interactions.csv, or give its own path"
        )
    return files


def _used(table: str, form: Form, options: ReadOptions) -> list[str]:
    """Return the file's names of the columns to read: the contract's; all of items and users.

    A column with a contract's name is skipped if ``columns=`` maps that name to another column, and
    so is ``timestamp`` if row numbers replace it.
    """
    mapped = options.columns.get(table, {})
    known = known_columns(table) | set(mapped.values())
    if table == "interactions":
        known -= {"timestamp"} if options.timestamp == "row" else set()
    elif table in HOMES.values():
        known |= set(form.names) - {""}
    shadowed = set(mapped) - set(mapped.values())
    return [name for name in form.names if name in known and name not in shadowed]


def _join(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Return the concatenated blocks; categorical columns get the union of their categories."""
    for column in parts[0]:
        if all(isinstance(part[column].dtype, pd.CategoricalDtype) for part in parts):
            ordered = parts[0][column].cat.ordered
            names = list(dict.fromkeys(c for part in parts for c in part[column].cat.categories))
            kind = pd.CategoricalDtype(names if ordered else sorted(names), ordered)
            for part in parts:
                part[column] = part[column].astype(kind)
    return pd.concat(parts)
