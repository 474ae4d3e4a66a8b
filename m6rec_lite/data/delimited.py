"""Format of delimited text files: encoding, separator, header, and rows in blocks.

The meaning of columns is left to ``csv``. Faults of format raise ``DataError`` with the fix; lines
with too many or too few fields can be dropped and counted instead.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
from tqdm.auto import tqdm

from m6rec_lite.data.tables import DataError, Dropped

_SEPARATORS = ",;\t|"
#: Texts that programs write for a missing value.
MISSING: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "\\N")


@dataclass(frozen=True)
class Form:
    """Format of a file.

    Attributes:
        path: path of the file; a ``.gz`` file is decompressed on reading.
        sep: separator.
        encoding: Python's name of the encoding, without the suffix for a byte-order mark.
        header: names of the columns as in the file.
    """

    path: Path
    sep: str
    encoding: str
    header: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns without blanks around them."""
        return [name.strip() for name in self.header]


def inspect(
    path: Path, *, sep: str | None = None, encoding: str = "utf-8", wanted: Sequence[str] = ()
) -> Form:
    """Return the format of a file.

    Args:
        path: path of the file.
        sep: separator, or None to choose the one of ``,;|`` and tab that fits the header.
        encoding: encoding of the text.
        wanted: expected names in the header, used to choose the separator.

    Raises:
        DataError: if the file is empty, is not text, has another encoding or separator, has no
            header, or repeats a name in it.
        ValueError: if the encoding does not exist.
    """
    encoding = _plain_encoding(path, encoding)
    with _open(path) as file:
        head = file.read(4096)
    _check_text(path, head, encoding)
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
    form = Form(path, sep, encoding, tuple(header))
    repeated = sorted({name for name in form.names if name and form.names.count(name) > 1})
    if repeated:
        raise DataError(
            f"{path.name}: the header repeats {', '.join(map(repr, repeated))}; rename the columns "
            "so that each name occurs once"
        )
    if all(_is_number(name) for name in form.names):
        raise DataError(
            f"{path.name}: the first line should name the columns, but it is {form.names}; add a "
            f"header such as {sep.join(wanted) or 'user_id,item_id,timestamp'}"
        )
    return form


def blocks(
    form: Form,
    *,
    columns: Sequence[str] | None = None,
    block_bytes: int = 1 << 20,
    on_bad_rows: str = "raise",
    dropped: list[Dropped] | None = None,
    progress: bool = True,
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a file in blocks; values are text, and empty values are missing.

    Row labels count from 0 after the header; dropped lines are not counted.

    Args:
        form: format of the file, from ``inspect``.
        columns: names of the columns to read; by default all that have a name.
        block_bytes: size of a block; about thirty blocks are read ahead.
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

    names = form.names
    wanted = [i for i, name in enumerate(names) if name and (columns is None or name in columns)]
    start = 0
    with pa.OSFile(str(form.path)) as file:
        text = pa.CompressedInputStream(file, "gzip") if form.path.suffix == ".gz" else file
        bar = tqdm(
            total=form.path.stat().st_size, unit="B", unit_scale=True, desc=form.path.name,
            disable=not progress, delay=2,
        )  # fmt: skip
        try:
            reader = pa_csv.open_csv(
                text,
                read_options=pa_csv.ReadOptions(
                    block_size=block_bytes, use_threads=False, encoding=form.encoding
                ),
                parse_options=pa_csv.ParseOptions(
                    delimiter=form.sep, newlines_in_values=True, invalid_row_handler=handle_invalid
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(form.header, pa.string()), strings_can_be_null=True,
                    null_values=[""], quoted_strings_can_be_null=True,
                    include_columns=[form.header[i] for i in wanted],
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
            _raise_undecodable(form.path, form.encoding)
        except pa.ArrowInvalid as error:
            if invalid and on_bad_rows == "raise":
                raise DataError(_invalid_message(form, invalid)) from None
            if "UTF8" in str(error):
                _raise_undecodable(form.path, form.encoding)
            raise DataError(
                f"{form.path.name}: cannot be cut into rows after row {start} ({error}); look for "
                "a quotation mark that is never closed, or, if a row is longer than "
                f"{block_bytes:,} bytes, raise block_bytes"
            ) from None
        finally:
            bar.close()
    if invalid and dropped is not None:
        counts = sorted({count for _, count, _ in invalid})
        problem = f"lines have {counts} fields where the header has {len(form.header)}"
        numbers = tuple(number for number, _, _ in invalid[:5])
        dropped.append(Dropped(form.path.name, "(all)", problem, len(invalid), numbers))


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _plain_encoding(path: Path, encoding: str) -> str:
    """Return Python's name of an encoding."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"{path.name}: no encoding is called {encoding!r}; try 'utf-8', 'latin-1' or 'cp1252'"
        ) from None
    return "utf-8" if name == "utf-8-sig" else name


def _check_text(path: Path, head: bytes, encoding: str) -> None:
    """Raise ``DataError`` if the first bytes of a file are not text of the encoding."""
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise DataError(f"{path.name} is empty; wanted a header and rows")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if not encoding.startswith("utf-16"):
            raise DataError(f'{path.name} is UTF-16 text; give encoding="utf-16"')
    elif head.startswith(b"PK\x03\x04"):
        raise DataError(f"{path.name} is a zip or Excel file, not text; save it as CSV first")
    elif b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        raise DataError(f"{path.name} holds zero bytes, so it is not text; save it as CSV first")


def _header(path: Path, sep: str, encoding: str) -> list[str]:
    """Return the first record, with Python's parser: PyArrow's hides repeated names."""
    with _open(path) as file:
        name = "utf-8-sig" if encoding == "utf-8" else encoding  # skips a byte-order mark
        text = io.TextIOWrapper(file, encoding=name, newline="")
        try:
            for record in csv.reader(text, delimiter=sep):
                if record:
                    return record
        except UnicodeDecodeError:
            _raise_undecodable(path, encoding)
        except csv.Error as error:
            raise DataError(f"{path.name}: the header cannot be read ({error})") from None
    return []


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _invalid_message(form: Form, invalid: list[tuple[int, int, str]]) -> str:
    """Return the message about the first line with a wrong number of fields."""
    number, count, text = invalid[0]
    fix = f"a value that contains the separator {form.sep!r} must be in quotation marks"
    if count < len(form.header):
        fix = "complete the line (is a quotation mark never closed?)"
    return (
        f"{form.path.name}, line {number}: {count} fields where the header has "
        f'{len(form.header)}: {text[:120]!r}. Fix: {fix}; or pass on_bad_rows="drop" to leave '
        "such lines out"
    )


def _raise_undecodable(path: Path, encoding: str) -> NoReturn:
    """Raise ``DataError`` with the first line that is not in the encoding."""
    if encoding.startswith(("utf-16", "utf-32")):
        raise DataError(f"{path.name} is not {encoding} text; try encoding='utf-8'") from None
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                context = line[max(error.start - 20, 0) : error.start + 20]
                raise DataError(
                    f"{path.name}, line {number}: byte 0x{line[error.start]:02x} is not "
                    f"{encoding}: {context!r}. If the file comes from an older program, give "
                    'encoding="cp1252" (or "latin-1")'
                ) from None
    raise DataError(f"{path.name} is not {encoding} text")
