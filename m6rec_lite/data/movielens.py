"""Readers of three MovieLens data sets (Harper and Konstan, 2015).

``ml-100k`` and ``ml-1m`` may not be redistributed, so this project contains no row of them: they
are downloaded from their publisher on first use, or read from a local folder. Rows stay in file
order, which breaks ties in time.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.contracts import report, validate, validate_dataset
from m6rec_lite.data.download import ensure_archive
from m6rec_lite.data.folders import data_folder
from m6rec_lite.data.movielens_archives import ARCHIVES, Archive
from m6rec_lite.data.tables import EVENTS, DataError, Dataset, Dropped

log = logging.getLogger(__name__)

_AGES = (1, 18, 25, 35, 45, 50, 56)
_AGE_BANDS = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56 and over")
#: Occupations of ml-1m by code, as its README lists them.
_OCCUPATIONS = (
    "other", "academic/educator", "artist", "clerical/admin", "college/grad student",
    "customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker",
    "K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist",
    "self-employed", "technician/engineer", "tradesman/craftsman", "unemployed", "writer",
)  # fmt: skip


def load_movielens(
    name: str,
    *,
    folder: Path | str | None = None,
    download: bool = True,
    on_bad_rows: str = "raise",
    user_tags: bool = False,
    progress: bool = True,
) -> Dataset:
    """Read a MovieLens data set; download it first if it is missing.

    Args:
        name: ``ml-100k``, ``ml-1m`` or ``ml-latest-small``.
        folder: folder of the data set's files; by default ``name`` in the data folder.
        download: whether to download missing files.
        on_bad_rows: ``raise`` or ``drop``.
        user_tags: for ``ml-latest-small``: add the words that users attached to ``tags``.
        progress: whether to show a progress bar for the download.

    Returns:
        The data set; all events are ``rate``, with the rating as value.

    Raises:
        DataError: if files are missing and cannot be downloaded, or differ from the published ones.
    """
    archive = ARCHIVES[name]
    if folder is None:
        path = data_folder() / name
        if download:
            path = ensure_archive(
                name, archive.url, data_folder(), files=archive.files, sha256=archive.sha256,
                progress=progress,
            )  # fmt: skip
    else:
        path = Path(folder)
    missing = [file for file in archive.files if not (path / file).is_file()]
    if missing:
        raise DataError(
            f"{name}: {path} lacks {', '.join(missing)}. Put the files of {archive.url} there, or "
            "let load_dataset download them"
        )
    readers = {"ml-100k": _read_100k, "ml-1m": _read_1m, "ml-latest-small": _read_latest}
    ratings, items, users = readers[name](path)
    if user_tags and name == "ml-latest-small":
        items = _add_user_tags(items, path / "tags.csv")

    dropped: list[Dropped] = []
    options: dict[str, Any] = {"on_bad_rows": on_bad_rows, "dropped": dropped}
    source = f"{name}/{archive.files[0]}"
    ratings["event"] = pd.Categorical(["rate"], categories=EVENTS).repeat(len(ratings))
    ratings = validate("interactions", ratings, source=source, **options)
    items = validate("items", items, source=f"{name}/{archive.files[1]}", **options)
    users = validate("users", users, source=f"{name} (users)", **options)
    dataset = Dataset(name, ratings, items, users, archive.card, dropped=report(dropped))
    dataset = validate_dataset(dataset, sources={"interactions": source}, on_bad_rows=on_bad_rows)
    _check_counts(dataset, archive, path, on_bad_rows)
    return dataset


def _check_counts(dataset: Dataset, archive: Archive, path: Path, on_bad_rows: str) -> None:
    """Raise ``DataError`` (or warn) if the numbers of rows, users or items differ."""
    rows = dataset.interactions
    counts = (len(rows), rows["user_id"].nunique(), rows["item_id"].nunique())
    expected = (archive.rows, archive.users, archive.items)
    if counts == expected:
        return
    message = (
        f"{dataset.name}: {path} holds {counts[0]:,} ratings of {counts[1]:,} users and "
        f"{counts[2]:,} films; the published data set has {expected[0]:,}, {expected[1]:,} and "
        f"{expected[2]:,}. Results on it would not compare with published ones"
    )
    if on_bad_rows == "drop":
        log.warning("%s", message)
        return
    raise DataError(
        f"{message}. Replace the files by those of {archive.url}; to read your own selection of "
        "rows, give it as a CSV"
    )


def _text(path: Path, encoding: str) -> str:
    """Return the text of a file."""
    try:
        return path.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not {encoding}: {error.reason}") from None


def _fields(
    path: Path, separator: str, n_fields: int, encoding: str = "latin-1"
) -> list[list[str]]:
    """Return the fields of each line; every line must have ``n_fields`` of them."""
    lines = _text(path, encoding).splitlines()
    rows = [line.split(separator) for line in lines if line]
    if not rows:
        raise DataError(f"{path} is empty")
    for number, fields in enumerate(rows):
        if len(fields) != n_fields:
            raise DataError(
                f"{path}, line {number + 1}: {len(fields)} fields where {n_fields} were wanted "
                f"(separated by {separator!r}): {lines[number][:80]!r}"
            )
    return rows


def _ratings(path: Path, separator: str) -> pd.DataFrame:
    """Read a file of ratings without a header: user, item, stars, seconds."""
    names = ["user_id", "item_id", "value", "timestamp"]
    data = path.read_bytes().replace(separator.encode(), b"\t")  # the fast parser needs one byte
    try:
        frame = pd.read_csv(io.BytesIO(data), sep="\t", names=names, encoding="latin-1")
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path}: not ratings separated by {separator!r}: {error}") from None
    return frame[["user_id", "item_id", "timestamp", "value"]]


def _table(path: Path, names: list[str]) -> pd.DataFrame:
    """Read the named columns of a CSV file with a header."""
    try:
        return pd.read_csv(path, encoding="utf-8")[names]
    except (ValueError, KeyError) as error:
        raise DataError(f"{path}: wanted a CSV with the columns {names}: {error}") from None


def _whole(values: Sequence[str], path: Path) -> list[int]:
    """Return values as integers; raise ``DataError`` with the file if one is not."""
    try:
        return [int(value) for value in values]
    except ValueError as error:
        raise DataError(f"{path}: wanted a whole number: {error}") from None


def _read_100k(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    ratings = _ratings(folder / "u.data", "\t")
    genres = [name for name, _ in _fields(folder / "u.genre", "|", 2)]
    films = _fields(folder / "u.item", "|", 5 + len(genres))
    tags = [
        [genre for genre, flag in zip(genres, film[5:], strict=True) if flag == "1"]
        for film in films
    ]
    dates = pd.Series([film[2] or None for film in films], dtype="str")
    released = pd.DatetimeIndex(pd.to_datetime(dates, format="%d-%b-%Y"))
    ids = _whole([film[0] for film in films], folder / "u.item")
    rows = _fields(folder / "u.user", "|", 5)
    user_ids, ages, genders, occupations, _ = zip(*rows, strict=True)
    users = pd.DataFrame(
        {
            "user_id": _whole(user_ids, folder / "u.user"),
            "age_band": _age_bands(_whole(ages, folder / "u.user")),
            "gender": genders,
            "occupation": occupations,
        }
    )
    return ratings, _films(ids, [film[1] for film in films], tags, released), users


def _read_1m(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    ratings = _ratings(folder / "ratings.dat", "::")
    films = _fields(folder / "movies.dat", "::", 3)
    film_ids, titles, genres = zip(*films, strict=True)
    ids = _whole(film_ids, folder / "movies.dat")
    items = _films(ids, titles, [names.split("|") for names in genres], _years(titles))
    rows = _fields(folder / "users.dat", "::", 5)
    user_ids, genders, ages, occupations, _ = zip(*rows, strict=True)
    codes = _whole(occupations, folder / "users.dat")
    if not set(codes) <= set(range(len(_OCCUPATIONS))):
        raise DataError(f"{folder / 'users.dat'}: occupations lie between 0 and 20")
    users = pd.DataFrame(
        {
            "user_id": _whole(user_ids, folder / "users.dat"),
            "age_band": _age_bands(_whole(ages, folder / "users.dat")),
            "gender": genders,
            "occupation": [_OCCUPATIONS[code] for code in codes],
        }
    )
    return ratings, items, users


def _read_latest(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    ratings = _table(folder / "ratings.csv", ["userId", "movieId", "timestamp", "rating"])
    ratings.columns = ["user_id", "item_id", "timestamp", "value"]
    films = _table(folder / "movies.csv", ["movieId", "title", "genres"])
    tags = [genres.split("|") for genres in films["genres"].fillna("")]
    titles = films["title"].astype("str").tolist()
    items = _films(films["movieId"].tolist(), titles, tags, _years(titles))
    return ratings, items, pd.DataFrame({"user_id": np.unique(ratings["user_id"])})


def _films(
    ids: Sequence[int],
    titles: Sequence[str],
    genres: list[list[str]],
    released: pd.DatetimeIndex,
) -> pd.DataFrame:
    """Return the table of items, with the first genre as category."""
    no_genre = ("unknown", "(no genres listed)")
    genres = [[genre for genre in names if genre not in no_genre] for names in genres]
    seconds = pd.Series(released.astype("datetime64[s]").astype("int64"), dtype="Int64")
    return pd.DataFrame(
        {
            "item_id": ids,
            "domain": "films",
            "category": [names[0] if names else None for names in genres],
            "title": titles,
            "tags": genres,
            "released": seconds.mask(np.asarray(released.isna())),
        }
    )


def _years(titles: Sequence[str]) -> pd.DatetimeIndex:
    """Return 1 January of the year in brackets at the end of each title, or a missing value."""
    years = [re.search(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*$", title) for title in titles]
    return pd.DatetimeIndex([f"{year[1]}-01-01" if year else None for year in years])


def _age_bands(ages: list[int]) -> pd.Categorical:
    """Return age bands, from ages or from the codes of ml-1m, which are the bands' lower ends."""
    codes = np.searchsorted(_AGES, ages, side="right") - 1
    return pd.Categorical.from_codes(np.maximum(codes, 0), pd.Index(_AGE_BANDS), ordered=True)


def _add_user_tags(items: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return items with the users' tags after the genres: unique, in file order."""
    table = pd.read_csv(path, encoding="utf-8", dtype={"movieId": "int64", "tag": "str"})
    words = table["tag"].str.strip().str.lower().groupby(table["movieId"]).agg(list)
    tags = [
        list(dict.fromkeys([*genres, *words.get(item, [])]))
        for item, genres in zip(items["item_id"], items["tags"], strict=True)
    ]
    return items.assign(tags=pd.Series(tags, items.index))
