"""Reader of recommended lists, scores or target ranks, from files of any project."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd

from m6rec_lite.data.tables import DataError

#: Columns of the three forms; the first whose columns are all there is the form of a file.
FORMS: dict[str, tuple[str, ...]] = {
    "scores": ("user", "item", "score"),
    "lists": ("user", "item", "rank"),
    "targets": ("user", "rank", "candidates"),
}
_IDS = ("user", "item", "target", "model")
_COUNTS = ("rank", "candidates", "tied")
_NUMBERS = (*_COUNTS, "score", "seed")
_OPTIONAL = ("target", "candidates", "query_time", "tied", "model", "seed")


def read_lists(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Read the lists, scores or target ranks of one or more models.

    A row has one of three forms, known by its columns (``user_id`` and ``item_id`` are accepted
    for ``user`` and ``item``):

    - ``user item score``: an item that was ranked, and its score; higher is better;
    - ``user item rank``: a recommended item, ranks from 1;
    - ``user rank candidates``: the rank of the user's held-out target, optionally with ``tied``
      (items of the target's score, itself included; ``rank`` is then the best of their ranks).

    Optional columns of every form: ``model``, ``seed``, ``target`` (the user's held-out item),
    ``candidates`` (among how many items it was ranked) and ``query_time`` (unix seconds or a date:
    the moment for which the model was asked).

    Args:
        source: a file ``.csv``, ``.csv.gz`` or ``.parquet``, a file ``ranks.npz`` of this project,
            or a DataFrame.

    Returns:
        The rows, with ids as in the source, ``model`` and numeric columns; ``attrs["form"]`` is
        ``lists``, ``scores`` or ``targets``.

    Raises:
        DataError: if the file cannot be read, a column is missing, or a value is invalid; the
            message names the file, the column and the first such rows.
    """
    if isinstance(source, pd.DataFrame):
        name, frame = "the frame of lists", source
    else:
        path = Path(source)
        name, frame = path.name, _read_file(path)
    frame = frame.rename(columns={"user_id": "user", "item_id": "item"}).reset_index(drop=True)
    form = _form(frame, name)
    if not len(frame):
        raise DataError(f"{name} has columns but no rows")
    kept = [c for c in dict.fromkeys((*FORMS[form], *_OPTIONAL)) if c in frame]
    frame = frame[kept].copy()
    for column in set(_NUMBERS) & set(frame):
        frame[column] = pd.to_numeric(frame[column], errors="coerce").astype(float)
    if "query_time" in frame:
        frame["query_time"] = _seconds(frame["query_time"])
    for column, values in frame.items():
        _reject(name, column, values.isna(), "are missing or cannot be read")
        if column in _NUMBERS:
            _reject(name, column, values == np.inf, "are infinite")
        if column in _COUNTS:
            _reject(name, column, values < 1, "are below 1")
    if "score" in frame:  # -inf: never recommended
        frame = frame[frame["score"] > -np.inf].reset_index(drop=True)
        if not len(frame):
            raise DataError(f"{name}: every score is -inf, so nothing was recommended")
    if "model" not in frame:
        frame["model"] = "model"
    frame["model"] = frame["model"].astype(str)
    frame.attrs = {"form": form, "name": name}
    return frame


def _read_file(path: Path) -> pd.DataFrame:
    """Return the table of a file; ids of a CSV file as text."""
    if not path.is_file():
        raise DataError(f"there is no file {path.name!r}; give a .csv, .csv.gz, .parquet or .npz")
    endings = path.name.lower()
    try:
        if endings.endswith(".parquet"):
            return pd.read_parquet(path)
        if endings.endswith(".npz"):
            with np.load(path) as file:
                ranks = {"user": file["user_ids"], "rank": file["above"] + 1, "tied": file["tied"]}
                return pd.DataFrame(ranks).assign(candidates=int(file["n_items"]))
        if endings.endswith((".csv", ".csv.gz")):
            text = dict.fromkeys((*_IDS, "user_id", "item_id"), "str")
            return pd.read_csv(path, dtype=text, skipinitialspace=True)
    except (ValueError, OSError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        reason = str(error).partition("\n")[0] or "it ends too early"
        raise DataError(f"{path.name} cannot be read: {reason}") from error
    raise DataError(f"{path.name} is no .csv, .csv.gz, .parquet or .npz; convert it to one of them")


def _form(frame: pd.DataFrame, name: str) -> str:
    """Return the form of a table by its columns."""
    if repeated := sorted(set(frame.columns[frame.columns.duplicated()])):
        raise DataError(f"{name}: the header repeats the column {repeated[0]!r}; rename it")
    for form, columns in FORMS.items():
        if set(columns) <= set(frame):
            return form
    forms = "; ".join(", ".join(columns) for columns in FORMS.values())
    raise DataError(
        f"{name} has the columns {[str(c) for c in frame]}, and needs those of one form: {forms}"
    )


def _seconds(values: pd.Series) -> pd.Series:
    """Return unix seconds of numbers or dates; missing where neither can be read."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().any() and not pd.api.types.is_datetime64_any_dtype(values.dtype):
        return numbers.astype(float)
    dates = pd.to_datetime(values, utc=True, errors="coerce", format="ISO8601")
    return (dates - pd.Timestamp(0, tz="UTC")).dt.total_seconds()


def _reject(name: str, column: object, wrong: pd.Series, problem: str) -> None:
    """Raise ``DataError`` if any row is wrong."""
    if wrong.any():
        rows = np.flatnonzero(wrong)[:5].tolist()
        raise DataError(
            f"{name}, column {column}: {int(wrong.sum())} of {len(wrong)} rows {problem}; the "
            f"first are rows {rows} (row 0 follows the header). Correct or remove them"
        )
