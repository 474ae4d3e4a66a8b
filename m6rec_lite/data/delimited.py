"""Format of delimited text files: encoding, separator, header, and rows in blocks.

The meaning of columns is left to ``own_files``. Faults of format raise ``DataError`` with the fix;
lines with too many or too few fields can be dropped and counted instead.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
from tqdm.auto import tqdm

from m6rec_lite.data.tables import DataError, Dropped
from m6rec_lite.data.text_lines import (
    check_text,
    compression,
    damage_named,
    open_bytes,
    plain_encoding,
    raise_undecodable,
)

_SEPARATORS = ",;\t|"
#: Texts that programs write for a missing value.
MISSING: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "\\N")


@dataclass(frozen=True)
class DelimitedFile:
    """A file of delimited text and its format.

    Attributes:
        path: path of the file; a compressed file is decompressed on reading.
        sep: separator, one character.
        encoding: Python's name of the encoding, without the suffix for a byte-order mark.
        header: names of the columns as in the file.
        block_bytes: size of a block; about thirty blocks are read ahead.
    """

    path: Path
    sep: str
    encoding: str
    header: tuple[str, ...]
    block_bytes: int = 1 << 20
    is_text: ClassVar[bool] = True

    @property
    def names(self) -> list[str]:
        """Names of the columns without blanks around them."""
        return [name.strip() for name in self.header]

    def blocks(
        self,
        columns: Sequence[str],
        *,
        on_bad_rows: str = "raise",
        dropped: list[Dropped] | None = None,
        progress: bool = True,
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows of a file in blocks; values are text, and empty values are missing.

        Row labels count from 0 after the header; dropped lines are not counted.

        Args:
            columns: names of the columns to read.
            on_bad_rows: what to do with lines of too many or too few fields: ``raise`` or ``drop``.
            dropped: a list that receives a ``Dropped`` for these lines.
            progress: whether to show a progress bar.

        Raises:
            DataError: if the file cannot be parsed; the message names the faulty line.
        """
        invalid: list[tuple[int, int, str]] = []

        def handle_invalid(row: pa_csv.InvalidRow) -> str:
            invalid.append((row.number or 0, row.actual_columns, row.text))
            return "skip" if on_bad_rows == "drop" else "error"

        names = self.names
        wanted = [i for i, name in enumerate(names) if name in columns]
        start = 0
        with damage_named(self.path), pa.OSFile(str(self.path)) as file:
            codec = compression(self.path)
            text = file if codec is None else pa.CompressedInputStream(file, codec)
            bar = tqdm(
                total=self.path.stat().st_size, unit="B", unit_scale=True, desc=self.path.name,
                disable=not progress, delay=2,
            )  # fmt: skip
            try:
                reader = pa_csv.open_csv(
                    text,
                    read_options=pa_csv.ReadOptions(
                        block_size=self.block_bytes, use_threads=False, encoding=self.encoding
                    ),
                    parse_options=pa_csv.ParseOptions(
                        delimiter=self.sep,
                        newlines_in_values=True,
                        invalid_row_handler=handle_invalid,
                    ),
                    convert_options=pa_csv.ConvertOptions(
                        column_types=dict.fromkeys(self.header, pa.string()),
                        strings_can_be_null=True,
                        null_values=[""], quoted_strings_can_be_null=True,
                        include_columns=[self.header[i] for i in wanted],
                    ),
                )  # fmt: skip
                for batch in reader:
                    frame = batch.rename_columns([names[i] for i in wanted]).to_pandas()
                    if len(frame) == 0:
                        continue
                    frame.index = pd.RangeIndex(start, start + len(frame))
                    start += len(frame)
                    bar.update(max(file.tell() - bar.n, 0))
                    yield frame
            except UnicodeDecodeError:
                raise_undecodable(self.path, self.encoding)
            except pa.ArrowInvalid as error:
                if invalid and on_bad_rows == "raise":
                    raise DataError(self._invalid_message(invalid)) from None
                if "UTF8" in str(error):
                    raise_undecodable(self.path, self.encoding)
                raise DataError(
                    f"{self.path.name}: cannot be cut into rows after row {start} ({error}); look "
                    "for a quotation mark that is never closed, or, if a row is longer than "
                    f"{self.block_bytes:,} bytes, raise block_bytes"
                ) from None
            finally:
                bar.close()
        if invalid and dropped is not None:
            counts = sorted({count for _, count, _ in invalid})
            problem = f"lines have {counts} fields where the header has {len(self.header)}"
            numbers = tuple(number for number, _, _ in invalid[:5])
            dropped.append(Dropped(self.path.name, "(all)", problem, len(invalid), numbers))

    def _invalid_message(self, invalid: list[tuple[int, int, str]]) -> str:
        """Return the message about the first line with a wrong number of fields."""
        number, count, text = invalid[0]
        fix = f"a value that contains the separator {self.sep!r} must be in quotation marks"
        if count < len(self.header):
            fix = "complete the line (is a quotation mark never closed?)"
        return (
            f"{self.path.name}, line {number}: {count} fields where the header has "
            f'{len(self.header)}: {text[:120]!r}. Fix: {fix}; or pass on_bad_rows="drop" to leave '
            "such lines out"
        )


def inspect(
    path: Path,
    *,
    sep: str | None = None,
    encoding: str = "utf-8",
    wanted: Sequence[str] = (),
    block_bytes: int = 1 << 20,
) -> DelimitedFile:
    """Return the format of a file.

    Args:
        path: path of the file.
        sep: separator, or None to choose the one of ``,;|`` and tab that fits the header.
        encoding: encoding of the text.
        wanted: expected names in the header, used to choose the separator.
        block_bytes: size of a block; at least that of the longest row.

    Raises:
        DataError: if the file is empty, is not text, has another encoding or separator, has no
            header, or repeats a name in it.
        ValueError: if the encoding does not exist.
    """
    encoding = plain_encoding(path, encoding)
    check_text(path, encoding)
    options = dict.fromkeys(_SEPARATORS if sep is None else sep + _SEPARATORS)
    headers = {option: _header(path, option, encoding) for option in options}
    if sep is None:
        # most wanted names, then most fields; the first option in case of ties
        sep = max(headers, key=lambda s: (len({*wanted} & {*headers[s]}), len(headers[s])))
    header = headers[sep]
    other = max(_SEPARATORS, key=lambda s: len(headers[s]))
    if len(header) == 1 and len(headers[other]) > 1 and wanted:
        raise DataError(
            f"{path.name}: with the separator {sep!r} the header is one column, {header[0]!r}; it "
            f"looks as if the separator were {other!r}: give sep={other!r}, or none to let the "
            "reader choose"
        )
    names = [name.strip() for name in header]
    check_names(path, names, wanted, sep)
    return DelimitedFile(path, sep, encoding, tuple(header), block_bytes)


def check_names(path: Path, names: Sequence[str], wanted: Sequence[str], sep: str) -> None:
    """Raise ``DataError`` if a header repeats a name, or is a row of numbers.

    ``wanted`` and ``sep`` serve as an example of a header.
    """
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DataError(
            f"{path.name}: the header repeats {', '.join(map(repr, repeated))}; rename the columns "
            "so that each name occurs once"
        )
    if all(_is_number(name) for name in names):
        raise DataError(
            f"{path.name}: the first line should name the columns, but it is {list(names)}; add a "
            f"header such as {sep.join(wanted) or 'user_id,item_id,timestamp'}"
        )


def _header(path: Path, sep: str, encoding: str) -> list[str]:
    """Return the first record, with Python's parser: PyArrow's hides repeated names."""
    with damage_named(path), open_bytes(path) as file:
        name = "utf-8-sig" if encoding == "utf-8" else encoding  # skips a byte-order mark
        text = io.TextIOWrapper(file, encoding=name, newline="")
        try:
            for record in csv.reader(text, delimiter=sep):
                if record:
                    return record
        except UnicodeDecodeError:
            raise_undecodable(path, encoding)
        except csv.Error as error:
            raise DataError(f"{path.name}: the header cannot be read ({error})") from None
    return []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
