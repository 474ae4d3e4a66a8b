"""Loading of data sets by name, from files and from DataFrames: ``load_dataset``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from m6rec_lite.data.movielens import load_movielens
from m6rec_lite.data.movielens_archives import ARCHIVES
from m6rec_lite.data.own import read_frame
from m6rec_lite.data.own_files import read_files
from m6rec_lite.data.tables import DataError, Dataset

#: Names of the data sets that ``load_dataset`` knows.
NAMES: tuple[str, ...] = ("bazaar", "bazaar-large", "bazaar-wide", *ARCHIVES)


def load_dataset(
    source: str | Path | pd.DataFrame,
    *,
    columns: Mapping[str, Any] | None = None,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
    events: Mapping[str, str] | None = None,
    event: str | None = None,
    timestamp: str | None = None,
    timestamp_unit: str | None = None,
    text_ids: bool | None = None,
    on_bad_rows: str = "raise",
    name: str | None = None,
    domain: str | None = None,
    sep: str | None = None,
    encoding: str | None = None,
    folder: str | Path | None = None,
    download: bool | None = None,
    user_tags: bool | None = None,
    progress: bool = True,
) -> Dataset:
    """Load a data set by name, or your own from a DataFrame, a file or a folder of files.

    Args:
        source: ``bazaar`` (embedded), ``bazaar-large``, ``bazaar-wide`` (generated on first use;
            the first has ten times the people, the second 6,000 items), ``ml-100k``, ``ml-1m``,
            ``ml-latest-small`` (downloaded on first use); a DataFrame of interactions; or a path:
            of a file (delimited text, ``.jsonl``, ``.parquet``; text may end in ``.gz`` or
            ``.bz2``), of a folder of Parquet files, of a folder with a file for each table, or of
            a bazaar that ``python -m m6rec_lite.data.bazaar --out`` wrote, which is named after
            its folder.
        columns: contract's column name → yours, such as ``{"user_id": "customer"}``; for several
            tables ``{"interactions": {…}, "items": {…}}``.
        items: for a DataFrame: a table of items with ``item_id``, and optionally texts.
        users: for a DataFrame: a table of users with ``user_id``.
        events: your event names → names in ``EVENTS``, such as ``{"buy": "purchase"}``.
        event: event of all rows if there is no such column; by default ``rate`` if there is a
            ``value``, else ``click``.
        timestamp: ``"column"`` (default); ``"row"`` if there are no times and rows are in
            chronological order.
        timestamp_unit: ``s``, ``ms``, ``us``, ``ns`` since 1970, of which fractions of a second
            are truncated; ``iso`` for dates as text, or a format such as ``%m/%d/%Y %H:%M``. By
            default whole seconds; fractions are an error.
        text_ids: read ids as text even if all are whole numbers, to match another file with ids
            of text.
        on_bad_rows: ``raise`` a ``DataError`` on the first fault, or ``drop`` faulty rows, log
            them, and list them in ``Dataset.dropped``.
        name: name of the data set; by default that of the file.
        domain: domain of all items, if no table has domains.
        sep: separator of a text file; by default the one of ``,;|`` and tab that fits the header.
            Several characters, such as ``::``, are a regular expression.
        encoding: encoding of a text file; UTF-8 by default.
        folder: for a data set loaded by name: the folder of its files.
        download: for MovieLens: whether to download missing files (default), or to raise.
        user_tags: for ``ml-latest-small``: add the words that users attached to ``tags``.
        progress: whether to show a progress bar for long reads.

    Returns:
        The data set, with all rows of the files; thresholds are applied by splits, and by
        ``positives``.

    Raises:
        DataError: if the name is unknown, or the data break their contract.
        ValueError: if an argument does not belong to this kind of source, or is out of range.
    """
    if on_bad_rows not in ("raise", "drop"):
        raise ValueError(f"on_bad_rows must be 'raise' or 'drop', not {on_bad_rows!r}")
    if not isinstance(source, (str, Path, pd.DataFrame)):
        raise DataError(
            f"source must be a name of {list(NAMES)}, a path, or a DataFrame of interactions; got "
            f"{type(source).__name__}"
        )
    tables = {"items": items, "users": users}
    reading: dict[str, Any] = {
        "columns": columns, "events": events, "event": event, "timestamp": timestamp,
        "timestamp_unit": timestamp_unit, "text_ids": text_ids, "name": name, "domain": domain,
    }  # fmt: skip
    text, location = {"sep": sep, "encoding": encoding}, {"folder": folder}
    archive = {"download": download, "user_tags": user_tags}
    options: dict[str, Any] = {**tables, **reading, **text, **location, **archive}
    options = {key: value for key, value in options.items() if value is not None}

    def check_options(kind: str, *groups: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that are set; raise unless all belong to these groups."""
        known = {key for group in groups for key in group}
        if unknown := [key for key in options if key not in known]:
            valid = ", ".join(sorted(known)) or "no such argument"
            raise ValueError(f"{kind} takes no {unknown[0]}=; it takes {valid}")
        return options

    if isinstance(source, pd.DataFrame):
        options = check_options("a DataFrame", tables, reading)
        return read_frame(source, on_bad_rows=on_bad_rows, **options)
    bazaar = importlib.import_module("m6rec_lite.data.bazaar")
    if source == "bazaar":
        return bazaar.load(**check_options("the bazaar", location))
    if source in bazaar.WORLDS:
        options = check_options(str(source), location)
        return bazaar.load_world(str(source), progress=progress, **options)
    if source in ARCHIVES:
        options = check_options(str(source), location, archive)
        return load_movielens(str(source), on_bad_rows=on_bad_rows, progress=progress, **options)
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(
            f"no data set and no file is called {str(source)!r}; give one of {list(NAMES)}, or the "
            f"path of a file or of a folder of them ({path.absolute()} does not exist)"
        )
    if (path / "world.json").is_file():
        check_options("a bazaar's folder")
        return replace(bazaar.load(path), name=path.resolve().name)
    options = check_options("a file", reading, text)
    return read_files(path, on_bad_rows=on_bad_rows, progress=progress, **options)
