"""The form of a delimited text file: encoding, separator, header, and rows in blocks.

Nothing here knows what a column means; ``csv`` does. Every fault of form raises ``DataError`` and
says how to mend it; lines with too many or too few fields may be dropped and counted instead.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
from tqdm.auto import tqdm

from m6rec_lite.data.tables import DataError, Dropped

_SEPARATORS = ",;\t|"
#: What other programs write for a missing value.
MISSING: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "\\N")


@dataclass(frozen=True)
class Form:
    """How a file is written.

    Attributes:
        path: of the file; ``.gz`` is unpacked on the way.
        sep: separator.
        encoding: as Python names it, without a byte-order mark's suffix.
        header: names of the columns as written.
    """

    path: Path
    sep: str
    encoding: str
    header: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The names without the blanks around them."""
        return [name.strip() for name in self.header]


def inspect(
    path: Path, *, sep: str | None = None, encoding: str = "utf-8", wanted: Sequence[str] = ()
) -> Form:
    """Find out how a file is written.

    Args:
        path: the file.
        sep: the separator, or None to take the one of ``,;|`` and tab that suits the header.
        encoding: of the text.
        wanted: names that the header should hold; they decide between separators.

    Raises:
        DataError: if the file is empty, is no text, has another encoding or separator, or a header
            that repeats a name or is none.
    """
    encoding = _plain_encoding(path, encoding)
    with _open(path) as file:
        head = file.read(4096)
    _check_text(path, head, encoding)
    headers = {one: _header(path, one, encoding) for one in (_SEPARATORS if sep is None else sep)}
    if sep is None:
        # the most wanted names, then the most fields; the first of equals
        sep = max(headers, key=lambda s: (len({*wanted} & {*headers[s]}), len(headers[s])))
    header = headers[sep]
    other = max(_SEPARATORS, key=lambda s: len(_header(path, s, encoding)))
    if len(header) == 1 and len(_header(path, other, encoding)) > 1 and wanted:
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
    """The rows of a file, some megabytes at a time, every value as text; blank ones are missing.

    Row labels count from 0 after the header (lines of a wrong shape that were dropped are not
    counted).

    Args:
        form: of the file, from ``inspect``.
        columns: names of those to read; by default all that have a name.
        block_bytes: size of a block; some thirty are read ahead.
        on_bad_rows: what to do with lines of too many or too few fields: ``raise`` or ``drop``.
        dropped: a list that receives a ``Dropped`` for them.
        progress: whether to show a bar.

    Raises:
        DataError: naming the line at fault.
    """
    odd: list[tuple[int, int, str]] = []

    def judge(row: pa_csv.InvalidRow) -> str:
        odd.append((row.number or 0, row.actual_columns, row.text))
        return "skip" if on_bad_rows == "drop" else "error"

    names = form.names
    wanted = [place for place, name in enumerate(names)
              if name and (columns is None or name in columns)]  # fmt: skip
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
                    delimiter=form.sep, newlines_in_values=True, invalid_row_handler=judge
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(form.header, pa.string()), strings_can_be_null=True,
                    null_values=[""], quoted_strings_can_be_null=True,
                    include_columns=[form.header[place] for place in wanted],
                ),
            )  # fmt: skip
            for batch in reader:
                frame = batch.rename_columns([names[place] for place in wanted]).to_pandas()
                if len(frame) == 0:
                    continue
                frame.index = pd.RangeIndex(start, start + len(frame))
                start += len(frame)
                bar.update(max(file.tell() - bar.n, 0))
                yield frame
        except UnicodeDecodeError:
            _raise_undecodable(form.path, form.encoding)
        except pa.ArrowInvalid as error:
            if odd and on_bad_rows == "raise":
                raise DataError(_odd_message(form, odd)) from None
            if "UTF8" in str(error):
                _raise_undecodable(form.path, form.encoding)
            raise DataError(
                f"{form.path.name}: cannot be cut into rows after row {start} ({error}); look for "
                "a quotation mark that is never closed, or, if a row is longer than "
                f"{block_bytes:,} bytes, raise block_bytes"
            ) from None
        finally:
            bar.close()
    if odd:
        entry = Dropped(form.path.name, "(all)", _odd_problem(form, odd), len(odd),
                        tuple(number for number, _, _ in odd[:5]))  # fmt: skip
        if dropped is not None:
            dropped.append(entry)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")


def _plain_encoding(path: Path, encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"{path.name}: no encoding is called {encoding!r}; try 'utf-8', 'latin-1' or 'cp1252'"
        ) from None
    return "utf-8" if name == "utf-8-sig" else name


def _check_text(path: Path, head: bytes, encoding: str) -> None:
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
    """The first record. Read with Python's own reader: the fast one hides repeated names."""
    with _open(path) as file:
        mark = "utf-8-sig" if encoding == "utf-8" else encoding
        text = io.TextIOWrapper(file, encoding=mark, newline="")
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


def _odd_problem(form: Form, odd: list[tuple[int, int, str]]) -> str:
    counts = sorted({count for _, count, _ in odd})
    return f"lines have {counts} fields where the header has {len(form.header)}"


def _odd_message(form: Form, odd: list[tuple[int, int, str]]) -> str:
    number, count, text = odd[0]
    mend = f"a value that holds the separator {form.sep!r} must stand in quotation marks"
    if count < len(form.header):
        mend = "complete the line (is a quotation mark never closed?)"
    return (
        f"{form.path.name}, line {number}: {count} fields where the header has "
        f'{len(form.header)}: {text[:120]!r}. Mend: {mend}; or pass on_bad_rows="drop" to leave '
        "such lines out"
    )


def _raise_undecodable(path: Path, encoding: str) -> None:
    """Name the first line that is not of the encoding."""
    if encoding.startswith(("utf-16", "utf-32")):
        raise DataError(f"{path.name} is not {encoding} text; try encoding='utf-8'") from None
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                around = line[max(error.start - 20, 0) : error.start + 20]
                raise DataError(
                    f"{path.name}, line {number}: byte 0x{line[error.start]:02x} is not "
                    f"{encoding}: {around!r}. If the file comes from an older program, give "
                    'encoding="cp1252" (or "latin-1")'
                ) from None
    raise DataError(f"{path.name} is not {encoding} text")
