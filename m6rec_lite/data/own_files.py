"""Reader of the user's own files: one of interactions, or a folder with one for each table.

Form (``delimited``, ``split_lines``, ``typed_files``) and content (``contracts``) are checked
strictly. Delimited text is read in blocks, so that memory grows with the number of rows and not
with the size of the text. Ids are whole numbers or text, as in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from m6rec_lite.data.contracts import FaultyRows, check_whole_table
from m6rec_lite.data.delimited import MISSING, inspect
from m6rec_lite.data.own import HOMES, ReadOptions, complete, known_columns
from m6rec_lite.data.split_lines import SplitLines
from m6rec_lite.data.tables import TABLES, DataError, Dataset, Dropped
from m6rec_lite.data.text_lines import COMPRESSIONS, base_name, file_form
from m6rec_lite.data.typed_files import JsonLines, ParquetFile

#: Endings of the files of a folder, the preferred first.
_ENDINGS = tuple(
    form + compression
    for form in (".csv", ".jsonl", ".parquet")
    for compression in (*COMPRESSIONS, "")
    if not (form == ".parquet" and compression)
)


class TableFile(Protocol):
    """A file of rows."""

    @property
    def is_text(self) -> bool:
        """Whether all values are text as in the file, so that ids have yet to be parsed."""

    @property
    def path(self) -> Path:
        """Path of the file, or of a folder of Parquet files."""

    @property
    def names(self) -> list[str]:
        """Names of the columns; empty for a column without a name."""

    def blocks(
        self,
        columns: Sequence[str],
        *,
        on_bad_rows: str,
        dropped: list[Dropped] | None,
        progress: bool,
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows of some columns in blocks, with labels that count from 0."""


def read_files(
    path: Path | str,
    *,
    columns: Mapping[str, Any] | None = None,
    events: Mapping[str, str] | None = None,
    event: str | None = None,
    timestamp: str = "column",
    timestamp_unit: str | None = None,
    text_ids: bool = False,
    sep: str | None = None,
    encoding: str = "utf-8",
    name: str | None = None,
    domain: str | None = None,
    on_bad_rows: str = "raise",
    block_bytes: int = 1 << 20,
    progress: bool = True,
) -> Dataset:
    """Read a file of interactions, or a folder of files named after their tables.

    The form follows the ending: ``.parquet`` (a file, or a folder of parts), ``.jsonl`` (one object
    a line), else delimited text; text may be compressed (``.gz``, ``.bz2``). A folder holds
    ``interactions.csv`` (or of another form) and optionally ``items``, ``users``, ``impressions``,
    ``queries`` and so on (see ``TABLES``); a folder with Parquet files alone is one table. Tables
    of items and users that are missing are built from the ids and from the columns of items or
    users (``title``, ``price``, ``city`` …) in the interactions.

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
            text, or a format such as ``%m/%d/%Y %H:%M`` (UTC unless they name a zone). Fractions of
            a second are truncated; without a unit they are an error, and whole seconds are read.
        text_ids: read ids as text even if all are whole numbers, to match another file with ids
            of text.
        sep: separator of delimited text; by default the one of ``,;|`` and tab that fits the
            header. Several characters, such as ``::``, are a regular expression; quotation marks
            are then text.
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
        timestamp_unit=timestamp_unit, text_ids=text_ids, on_bad_rows=on_bad_rows,
    )  # fmt: skip
    files: dict[str, TableFile] = {}
    for table, source in _files(path).items():
        names = options.columns.get(table, {})
        wanted = [names.get(column, column) for column in options.required(table)]
        files[table] = open_table(
            source, wanted, sep=sep, encoding=encoding, block_bytes=block_bytes
        )
        options.check_header(table, [n for n in files[table].names if n], source.name)
    text = set(HOMES) if text_ids else set()
    while True:
        ids = {column: _Ids(column, column in text) for column in HOMES}
        options.dropped.clear()
        try:
            frames = {
                table: _read_table(table, file, options, ids, progress)
                for table, file in files.items()
            }
            break
        except _IdsAreText as error:  # read again, with these ids as text
            text.add(error.column)
    label = name or base_name(path)
    sources = {table: file.path.name for table, file in files.items()}
    used = _used("interactions", files["interactions"], options)
    unread = [n for n in files["interactions"].names if n and n not in used]
    return complete(frames, options, sources=sources, name=label, domain=domain, unread=unread)


def open_table(
    path: Path,
    wanted: Sequence[str],
    *,
    sep: str | None = None,
    encoding: str = "utf-8",
    block_bytes: int = 1 << 20,
) -> TableFile:
    """Open a file of rows in the form that its ending names.

    Args:
        path: path of the file, or of a folder of Parquet files.
        wanted: expected names of columns.
        sep: separator of delimited text, as for ``read_files``.
        encoding: encoding of the text.
        block_bytes: size of a block of delimited text.

    Raises:
        DataError: if the file cannot be read, or has no header.
        ValueError: if a separator is given for a file that has none.
    """
    form = "parquet" if path.is_dir() else file_form(path)
    if form != "csv" and sep is not None:
        raise ValueError(f"sep={sep!r} is for delimited text, and {path.name} is {form}")
    if form == "parquet":
        return ParquetFile.open(path)
    if form == "jsonl":
        return JsonLines.open(path, encoding)
    if sep is not None and len(sep) > 1:
        return SplitLines.open(path, sep, encoding, wanted)
    return inspect(path, sep=sep, encoding=encoding, wanted=wanted, block_bytes=block_bytes)


def _read_table(
    table: str, file: TableFile, options: ReadOptions, ids: dict[str, _Ids], progress: bool
) -> pd.DataFrame:
    """Read one file as a table, block by block.

    Raises:
        DataError: if rows are faulty; they are counted in the whole file.
    """
    parts: list[pd.DataFrame] = []
    fault: FaultyRows | None = None
    further: list[Dropped] = []  # in the blocks after the fault
    counting = replace(options, on_bad_rows="drop", dropped=further)
    n_rows = 0
    for block in file.blocks(
        _used(table, file, options), on_bad_rows=options.on_bad_rows, dropped=options.dropped,
        progress=progress,
    ):  # fmt: skip
        shown = options.renamed(table, block)
        if file.is_text:
            shown = _with_ids(shown, ids)
        n_rows += len(shown)
        if fault is not None:
            counting.read(table, shown, file.path.name, whole=False)
            continue
        try:
            part = options.read(table, shown, file.path.name, whole=False)
        except FaultyRows as error:
            fault, parts = error, []
        else:
            parts += [part] if len(part) else []
    if fault is not None:
        raise fault.with_further(further, n_rows - fault.n_rows)
    if not n_rows:
        raise DataError(f"{file.path.name} has a header but no rows")
    return check_whole_table(
        table, _join(parts) if parts else pd.DataFrame(), source=file.path.name,
        on_bad_rows=options.on_bad_rows, dropped=options.dropped,
    )  # fmt: skip


def _with_ids(frame: pd.DataFrame, ids: dict[str, _Ids]) -> pd.DataFrame:
    """Return rows of text with their ids parsed, and values missing where a program wrote so."""
    for column in map(str, frame):
        if _kind(column) not in ("text", "category", "event"):  # a title may be "None"
            frame[column] = frame[column].mask(frame[column].isin(MISSING))
        if column in ids:
            frame[column] = ids[column].read(frame[column])
    return frame


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
        raise DataError(f"{path} does not exist; give a file or a folder of them")
    by_name = {file.name.lower(): file for file in sorted(path.iterdir(), reverse=True)}
    files = {
        table: by_name[f"{table}{ending}"]
        for table in TABLES
        for ending in reversed(_ENDINGS)
        if f"{table}{ending}" in by_name
    }
    if "interactions" in files:
        return files
    text = {".csv", ".jsonl"}  # a file course.toml may lie beside the parts
    if any(path.rglob("*.parquet")) and not any(text & {*Path(n).suffixes} for n in by_name):
        return {"interactions": path}
    others = sorted(file.name for file in path.iterdir())[:10]
    raise DataError(
        f"{path} holds no interactions.csv (it holds {others}); rename the file of events to "
        "interactions.csv (or .jsonl, .parquet), or give its own path"
    )


def _used(table: str, file: TableFile, options: ReadOptions) -> list[str]:
    """Return the file's names of the columns to read: the contract's; all of items and users.

    A column with a contract's name is skipped if ``columns=`` maps that name to another column, and
    so is ``timestamp`` if row numbers replace it.
    """
    mapped = options.columns.get(table, {})
    known = known_columns(table) | set(mapped.values())
    if table == "interactions":
        known -= {"timestamp"} if options.timestamp == "row" else set()
    elif table in HOMES.values():
        known |= set(file.names) - {""}
    shadowed = set(mapped) - set(mapped.values())
    return [name for name in file.names if name in known and name not in shadowed]


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
