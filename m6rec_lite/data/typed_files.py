"""Files whose values have types: Parquet and JSON, one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as pa_dataset

from m6rec_lite.data.tables import DataError, Dropped
from m6rec_lite.data.text_lines import check_text, lines, plain_encoding

_INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64())


@dataclass(frozen=True)
class ParquetFile:
    """A Parquet file, or a folder of the parts of one table.

    Attributes:
        path: path of the file, or of the folder.
        names: names of the columns.
    """

    path: Path
    names: list[str]
    is_text: ClassVar[bool] = False

    @classmethod
    def open(cls, path: Path) -> ParquetFile:
        """Read the names of the columns.

        Raises:
            DataError: if a file is not Parquet, or the parts have different columns.
        """
        names = [str(name) for name in cls._dataset(path).schema.names]
        return cls(path, names)

    @staticmethod
    def _dataset(path: Path) -> pa_dataset.Dataset:
        parts: Any = sorted(map(str, path.rglob("*.parquet"))) if path.is_dir() else path
        try:
            return pa_dataset.dataset(parts, format="parquet", partitioning="hive")
        except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
            raise DataError(
                f"{path.name} cannot be read as Parquet ({error}); write it again, or give the "
                "file the ending of its form, such as .csv"
            ) from None

    def blocks(
        self,
        columns: Sequence[str],
        *,
        on_bad_rows: str = "raise",
        dropped: list[Dropped] | None = None,
        progress: bool = True,
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows of the columns as one block; parts are read in the order of their names.

        Whole numbers stay whole where values are missing.

        Raises:
            DataError: if a part is damaged or has other types.
        """
        kinds = {kind: pd.Int64Dtype() for kind in _INTEGERS}
        try:
            table = self._dataset(self.path).to_table(columns=list(columns))
            frame = table.to_pandas(types_mapper=kinds.get, ignore_metadata=True)
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.path.name} is damaged, or its parts differ: {error}") from None
        if len(frame):
            yield frame


@dataclass(frozen=True)
class JsonLines:
    """A text file with one JSON object a line.

    Attributes:
        path: path of the file.
        encoding: Python's name of the encoding.
        names: names of the objects' values, in the order in which they first occur.
    """

    path: Path
    encoding: str
    names: list[str]
    is_text: ClassVar[bool] = False

    @classmethod
    def open(cls, path: Path, encoding: str) -> JsonLines:
        """Read the names of the values of all objects.

        Raises:
            DataError: if the file is empty or not text, or holds no object.
        """
        encoding = plain_encoding(path, encoding)
        check_text(path, encoding)
        names: dict[str, None] = {}
        for _, line in lines(path, encoding):
            names |= dict.fromkeys(_object(line) or ())
        if not names:
            raise DataError(
                f"{path.name}: no line is a JSON object; wanted lines such as "
                '{"user_id": "ann", "item_id": 7, "timestamp": 1700000000}'
            )
        return cls(path, encoding, list(names))

    def blocks(
        self,
        columns: Sequence[str],
        *,
        on_bad_rows: str = "raise",
        dropped: list[Dropped] | None = None,
        progress: bool = True,
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows of the columns as one block; a value that an object lacks is missing.

        Raises:
            DataError: if a line is not a JSON object, unless such lines are dropped.
        """
        values: dict[str, list[Any]] = {column: [] for column in columns}
        bad: list[int] = []
        for number, line in lines(self.path, self.encoding, progress=progress):
            row = _object(line)
            if row is None:
                if on_bad_rows == "raise":
                    raise DataError(
                        f"{self.path.name}, line {number} is not a JSON object: {line[:120]!r}. "
                        'Fix: one object a line, in braces; or pass on_bad_rows="drop" to leave '
                        "such lines out"
                    )
                bad.append(number)
                continue
            for column in columns:
                values[column].append(row.get(column))
        if bad and dropped is not None:
            problem = "lines are not JSON objects"
            dropped.append(Dropped(self.path.name, "(all)", problem, len(bad), tuple(bad[:5])))
        frame = pd.DataFrame({name: _series(column) for name, column in values.items()})
        if len(frame):
            yield frame


def _object(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line; None if it is not one."""
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _series(values: list[Any]) -> pd.Series:
    """Return values of JSON as a column; whole numbers stay exact where others are missing."""
    if all(type(value) is int and abs(value) < 2**63 for value in values if value is not None):
        return pd.Series(values, dtype="Int64")
    return pd.Series(values, dtype=object).infer_objects()
