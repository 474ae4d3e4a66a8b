"""One door to every data set: ``load_dataset``."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from m6rec_lite.data.csv import read_csv
from m6rec_lite.data.movielens import ARCHIVES, load_movielens
from m6rec_lite.data.tables import DataError, Dataset

#: The data sets that have a name of their own.
NAMES: tuple[str, ...] = ("bazaar", *ARCHIVES)


def load_dataset(name: str | Path, *, on_bad_rows: str = "raise", **options: Any) -> Dataset:
    """Load a data set by name, or the user's own from a CSV file or a folder of CSV files.

    Args:
        name: ``bazaar`` (embedded), ``ml-100k``, ``ml-1m``, ``ml-latest-small`` (downloaded on
            first use), or a path: of a CSV file, of a folder of them, or of a bazaar that
            ``python -m m6rec_lite.data.bazaar --out`` wrote, which is called as its folder is.
        on_bad_rows: ``raise`` a ``DataError`` on the first fault, or ``drop`` faulty rows, log
            them, and list them in ``Dataset.dropped``.
        **options: of the reader: ``read_csv`` (``columns=``, ``sep=``, ``encoding=``,
            ``timestamp_unit=`` …), ``load_movielens`` (``folder=``, ``download=``), or
            ``m6rec_lite.data.bazaar.load`` (``folder=``).

    Returns:
        the data set: rows as they are in the files, no threshold applied (splits do that).

    Raises:
        DataError: if the name is unknown, or the data break their contract.
    """
    if on_bad_rows not in ("raise", "drop"):
        raise ValueError(f"on_bad_rows must be 'raise' or 'drop', not {on_bad_rows!r}")
    bazaar = importlib.import_module("m6rec_lite.data.bazaar")
    if name == "bazaar":
        return bazaar.load(**options)
    if name in ARCHIVES:
        return load_movielens(str(name), on_bad_rows=on_bad_rows, **options)
    path = Path(name).expanduser()
    if not path.exists():
        raise DataError(
            f"no data set and no file is called {str(name)!r}; give one of {list(NAMES)}, or the "
            f"path of a CSV file or of a folder of them ({path.absolute()} does not exist)"
        )
    if (path / "world.json").is_file():
        return replace(bazaar.load(path, **options), name=path.resolve().name)
    return read_csv(path, on_bad_rows=on_bad_rows, **options)
