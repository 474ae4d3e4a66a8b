"""Text files, compressed or not: their form by ending, their bytes, and their lines."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from tqdm.auto import tqdm

from m6rec_lite.data.tables import DataError

#: PyArrow's name of the compression of each ending.
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2"}
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
#: Forms of files by ending; any other ending is taken for delimited text.
_FORMS = {".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}


def compression(path: Path) -> str | None:
    """Return PyArrow's name of the compression of a file, by its ending; None if it has none."""
    return COMPRESSIONS.get(path.suffix.lower())


def file_form(path: Path) -> str:
    """Return ``parquet``, ``jsonl`` or ``csv``, by the ending, in small letters or capitals."""
    plain = Path(path.stem) if compression(path) else path
    return _FORMS.get(plain.suffix.lower(), "csv")


def base_name(path: Path) -> str:
    """Return the name of a file or folder without the endings of its form and compression."""
    plain = Path(path.stem) if compression(path) else path
    known = {*_FORMS, ".csv", ".tsv", ".txt"}
    return plain.stem if plain.suffix.lower() in known else plain.name


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading; a compressed one is decompressed."""
    opener: Callable[..., Any] = _OPENERS.get(path.suffix.lower(), open)
    return cast(BinaryIO, opener(path, "rb"))


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Raise ``DataError`` with the name of a compressed file that is damaged or cut short."""
    try:
        yield
    except (EOFError, OSError, zlib.error) as error:
        if compression(path) is None or getattr(error, "errno", None) is not None:
            raise
        raise DataError(
            f"{path.name} is damaged or cut short, and cannot be decompressed ({error}); fetch or "
            "compress it again"
        ) from None


def plain_encoding(path: Path, encoding: str) -> str:
    """Return Python's name of an encoding, without the suffix for a byte-order mark.

    Raises:
        ValueError: if there is no such encoding.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise ValueError(
            f"{path.name}: no encoding is called {encoding!r}; try 'utf-8', 'latin-1' or 'cp1252'"
        ) from None
    return "utf-8" if name == "utf-8-sig" else name


def check_text(path: Path, encoding: str) -> None:
    """Raise ``DataError`` if a file is empty, or if its first bytes are not text."""
    with damage_named(path), open_bytes(path) as file:
        head = file.read(4096)
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise DataError(f"{path.name} is empty; wanted a header and rows")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if not encoding.startswith("utf-16"):
            raise DataError(f'{path.name} is UTF-16 text; give encoding="utf-16"')
    elif head.startswith(b"PK\x03\x04"):
        raise DataError(f"{path.name} is a zip or Excel file, not text; save it as CSV first")
    elif head.startswith(b"PAR1"):
        raise DataError(f"{path.name} is a Parquet file; rename it so that it ends in .parquet")
    elif b"\0" in head and not encoding.startswith(("utf-16", "utf-32")):
        raise DataError(f"{path.name} holds zero bytes, so it is not text; save it as CSV first")


def lines(path: Path, encoding: str, *, progress: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file that are not blank, without their ends, numbered from 1.

    Args:
        path: a text file, compressed or not.
        encoding: Python's name of the encoding; a byte-order mark is skipped.
        progress: whether to show a progress bar after two seconds.

    Raises:
        DataError: if a line is not in the encoding (the message names it), or the file is damaged.
    """
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    bar = tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name,
               disable=not progress, delay=2)  # fmt: skip
    with damage_named(path), path.open("rb") as raw, bar:
        opener = _OPENERS.get(path.suffix.lower())
        text = io.TextIOWrapper(cast(BinaryIO, opener(raw, "rb") if opener else raw), name)
        try:
            for number, line in enumerate(text, start=1):
                if number % 1000 == 0:
                    bar.update(max(raw.tell() - bar.n, 0))
                if line.strip():
                    yield number, line.rstrip("\n")
        except UnicodeDecodeError:
            raise_undecodable(path, encoding)


def raise_undecodable(path: Path, encoding: str) -> NoReturn:
    """Raise ``DataError`` with the first line that is not in the encoding, and another to try."""
    if encoding.startswith(("utf-16", "utf-32")):
        raise DataError(f"{path.name} is not {encoding} text; try encoding='utf-8'") from None
    with damage_named(path), open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError as error:
                context = line[max(error.start - 20, 0) : error.start + 20]
                advice = _encoding_advice(line + file.read(1 << 16))
                raise DataError(
                    f"{path.name}, line {number}: byte 0x{line[error.start]:02x} is not "
                    f"{encoding}: {context!r}. {advice}"
                ) from None
    raise DataError(f"{path.name} is not {encoding} text")


def _encoding_advice(data: bytes) -> str:
    """Return advice for bytes that are not UTF-8: a Chinese encoding, or one of western Europe.

    In GB18030 and its parts GBK and GB2312 the bytes above 127 come in pairs; in an encoding of
    western Europe most of them stand alone, between letters of ASCII.
    """
    high = alone = 0
    before = False
    for this, after in zip(data, data[1:] + b"\0", strict=True):
        if this > 127:
            high += 1
            alone += not before and after <= 127
        before = this > 127
    if alone < 0.25 * high:
        try:
            codecs.getincrementaldecoder("gb18030")().decode(data)
        except UnicodeDecodeError:
            pass
        else:
            return 'It looks like Chinese text: give encoding="gb18030"'
    return 'If the file comes from an older program, give encoding="cp1252" (or "latin-1")'
