"""The one way to load a data set: ``load_dataset``."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from m6rec_lite.data.csv import read_csv
from m6rec_lite.data.movielens import ARCHIVES, load_movielens
from m6rec_lite.data.own import read_frame
from m6rec_lite.data.tables import DataError, Dataset

#: The data sets that have a name of their own.
NAMES: tuple[str, ...] = ("bazaar", *ARCHIVES)


def load_dataset(
    source: str | Path | pd.DataFrame, *, on_bad_rows: str = "raise", **options: Any
) -> Dataset:
    """Load a data set by name, or the user's own from a DataFrame, a CSV file or a folder of them.

    Args:
        source: ``bazaar`` (embedded), ``ml-100k``, ``ml-1m``, ``ml-latest-small`` (downloaded on
            first use); a DataFrame of interactions; or a path: of a CSV file, of a folder of them,
            or of a bazaar that ``python -m m6rec_lite.data.bazaar --out`` wrote, which is called
            as its folder is.
        on_bad_rows: ``raise`` a ``DataError`` on the first fault, or ``drop`` faulty rows, log
            them, and list them in ``Dataset.dropped``.
        **options: of the reader: ``read_csv`` (``columns=``, ``sep=``, ``encoding=``,
            ``timestamp_unit=`` …), ``read_frame`` (``columns=``, ``items=``, ``users=`` …),
            ``load_movielens`` (``folder=``, ``download=``), or ``m6rec_lite.data.bazaar.load``
            (``folder=``).

    Returns:
        the data set: rows as they are in the files, no threshold applied (splits do that).

    Raises:
        DataError: if the name is unknown, or the data break their contract.
    """
    if on_bad_rows not in ("raise", "drop"):
        raise ValueError(f"on_bad_rows must be 'raise' or 'drop', not {on_bad_rows!r}")
    if isinstance(source, pd.DataFrame):
        return read_frame(source, on_bad_rows=on_bad_rows, **options)
    if not isinstance(source, (str, Path)):
        raise DataError(
            f"source must be a name of {list(NAMES)}, a path, or a DataFrame of interactions; got "
            f"{type(source).__name__}"
        )
    bazaar = importlib.import_module("m6rec_lite.data.bazaar")
    if source == "bazaar":
        return bazaar.load(**options)
    if source in ARCHIVES:
        return load_movielens(str(source), on_bad_rows=on_bad_rows, **options)
    path = Path(source).expanduser()
    if not path.exists():
        raise DataError(
            f"no data set and no file is called {str(source)!r}; give one of {list(NAMES)}, or the "
            f"path of a CSV file or of a folder of them ({path.absolute()} does not exist)"
        )
    if (path / "world.json").is_file():
        return replace(bazaar.load(path, **options), name=path.resolve().name)
    return read_csv(path, on_bad_rows=on_bad_rows, **options)
