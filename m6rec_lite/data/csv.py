"""A data set of your own: one CSV file of interactions, or a folder with one CSV a table.

The reader is strict about form (``delimited``) and content (``contracts``), reads in blocks, so
that memory grows with the rows kept and not with the text of the file, and keeps ids as they are
written: whole numbers, or text.
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
from m6rec_lite.data.own import HOMES, ReadOptions, complete
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

    A folder holds ``interactions.csv`` and, where there is something to tell, ``items.csv``,
    ``users.csv``, ``impressions.csv``, ``queries.csv`` and so on (see ``TABLES``). A file ending
    in ``.gz`` is unpacked on the way. Without tables of items or users these are made of the ids,
    and of the columns of items or users (``title``, ``price``, ``city`` …) in the interactions.

    Args:
        path: file or folder.
        columns: our name → the name in the file, such as ``{"user_id": "customer"}``; for a
            folder with several tables ``{"interactions": {…}, "items": {…}}``.
        events: the file's names of events → ours (``EVENTS``), such as ``{"buy": "purchase"}``.
        event: the event of every row where the file has no such column; by default ``rate`` if it
            has a ``value``, else ``click``. A missing ``value`` column means 1.
        timestamp: ``column``; or ``row`` where the file has no times and its rows stand in the
            order in which they happened: the number of the row then takes the place of a time.
        timestamp_unit: of the file: ``s``, ``ms``, ``us``, ``ns`` since 1970, ``iso`` for dates as
            text, or a format such as ``%Y%m%d`` (UTC unless they name a zone). Fractions of a
            second are cut off, save with ``s``, where they are an error.
        text_ids: keep ids as text even where all are whole numbers, to match another file whose
            ids are not.
        sep: the separator; by default the one of ``,;|`` and tab that suits the header.
        encoding: of the text; a byte-order mark is skipped.
        name: of the data set; by default the file's.
        domain: of all items, where no table names domains.
        on_bad_rows: ``raise`` or ``drop``.
        block_bytes: how much text is parsed at a time; a row must fit.
        progress: whether to show a bar (after two seconds).

    Returns:
        the data set; rows in file order.

    Raises:
        DataError: naming file, column, first offending rows, and the fix.
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
        except _IdsAreText as error:  # only now is it known: begin again
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
    """One file as a table, read block by block."""
    parts = []
    for block in blocks(
        form, columns=_used(table, form, options), block_bytes=block_bytes,
        on_bad_rows=options.on_bad_rows, dropped=options.dropped, progress=progress,
    ):  # fmt: skip
        shown = options.renamed(table, block)
        for column in shown:
            kind = _kind(column)
            if kind not in ("text", "category", "event"):  # a title may well be "None"
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
    """The kind of a column, whichever of the tables it belongs to."""
    rules = (TABLES[table].columns for table in TABLES)
    return next((columns[column].kind for columns in rules if column in columns), "text")


class _IdsAreText(Exception):
    """Raised when an id turns up that is not written as a plain whole number."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


class _Ids:
    """Reads one kind of ids: as the whole numbers they are, or as text.

    ``007`` and ``7`` may be two products, so a leading zero makes all ids text.
    """

    def __init__(self, column: str, text: bool) -> None:
        self.column, self.text = column, text

    def read(self, values: pd.Series) -> pd.Series:
        """The ids as Int64 or text, missing where they are. Blanks around an id do not count.

        Raises:
            _IdsAreText: if they should be whole numbers and are not.
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
    if path.is_file():
        return {"interactions": path}
    if not path.is_dir():
        raise DataError(f"{path} does not exist; give a CSV file or a folder of them")
    found = {
        table: path / f"{table}{ending}"
        for table in TABLES
        for ending in (".csv.gz", ".csv")
        if (path / f"{table}{ending}").is_file()
    }
    if "interactions" not in found:
        there = sorted(file.name for file in path.iterdir())[:10]
        raise DataError(
            f"{path} holds no interactions.csv (it holds {there}); rename the file of events to "
            "interactions.csv, or give its own path"
        )
    return found


def _used(table: str, form: Form, options: ReadOptions) -> list[str]:
    """The file's names of the columns to read: the contract's, and for items and users all.

    A column that bears our name, though ``columns=`` says that another is meant, is left out, and
    so is ``timestamp`` where the number of the row takes its place.
    """
    ours = options.columns.get(table, {})
    known = {*TABLES[table].columns, *ours.values()}
    if table == "interactions":
        known |= {column for home in HOMES.values() for column in TABLES[home].columns}
        known -= {"timestamp"} if options.timestamp == "row" else set()
    elif table in HOMES.values():
        known |= set(form.names) - {""}
    return [n for n in form.names if n in known and not (n in ours and n not in ours.values())]


def _join(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Blocks under one another; categories that differ between blocks are united."""
    for column in parts[0]:
        if all(isinstance(part[column].dtype, pd.CategoricalDtype) for part in parts):
            ordered = parts[0][column].dtype.ordered
            names = list(dict.fromkeys(c for part in parts for c in part[column].cat.categories))
            kind = pd.CategoricalDtype(names if ordered else sorted(names), ordered)
            for part in parts:
                part[column] = part[column].astype(kind)
    return pd.concat(parts)
