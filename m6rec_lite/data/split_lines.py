"""Text files whose separator is a regular expression, such as ``::``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pandas as pd

from m6rec_lite.data.delimited import check_names
from m6rec_lite.data.tables import DataError, Dropped
from m6rec_lite.data.text_lines import check_text, lines, plain_encoding

_BLOCK = 100_000  # lines


@dataclass(frozen=True)
class SplitLines:
    """A text file of one row a line, split at a regular expression; quotation marks are text.

    Attributes:
        path: path of the file.
        sep: the separator, a regular expression.
        encoding: Python's name of the encoding.
        names: names of the columns.
    """

    path: Path
    sep: str
    encoding: str
    names: list[str]
    is_text: ClassVar[bool] = True

    @classmethod
    def open(cls, path: Path, sep: str, encoding: str, wanted: Sequence[str]) -> SplitLines:
        """Read the header of a file.

        Args:
            path: path of the file.
            sep: the separator, a regular expression of two characters or more.
            encoding: encoding of the text.
            wanted: names for the message about a file without a header.

        Raises:
            DataError: if the file is empty or not text, or its header is faulty.
            ValueError: if the separator is no regular expression, or matches the empty text.
        """
        try:
            empty = re.fullmatch(sep, "") is not None
        except re.error as error:
            problem = f"is no regular expression ({error})"
        else:
            problem = "matches the empty text" if empty else ""
        if problem:
            raise ValueError(
                f"sep={sep!r} {problem}: a separator of several characters is a regular "
                f"expression, so give sep={re.escape(sep)!r} for exactly these characters"
            )
        encoding = plain_encoding(path, encoding)
        check_text(path, encoding)
        _, header = next(lines(path, encoding))
        names = [name.strip() for name in re.split(sep, header)]
        if len(names) == 1 and wanted:
            raise DataError(
                f"{path.name}: with the separator {sep!r} the header is one column, {header!r}; "
                "give the separator of the file, or none to let the reader choose"
            )
        check_names(path, names, wanted, sep)
        return cls(path, sep, encoding, names)

    def blocks(
        self,
        columns: Sequence[str],
        *,
        on_bad_rows: str = "raise",
        dropped: list[Dropped] | None = None,
        progress: bool = True,
    ) -> Iterator[pd.DataFrame]:
        """Yield the rows in blocks; see ``delimited.DelimitedFile.blocks``."""
        split, n_fields = re.compile(self.sep).split, len(self.names)
        rows: list[list[str]] = []
        bad: list[int] = []
        start = 0
        text = lines(self.path, self.encoding, progress=progress)
        next(text)  # the header
        for number, line in text:
            fields = split(line)
            if len(fields) != n_fields:
                if on_bad_rows == "raise":
                    raise DataError(
                        f"{self.path.name}, line {number}: {len(fields)} fields where the header "
                        f"has {n_fields}: {line[:120]!r}. Fix: complete the line, or take the "
                        f"separator {self.sep!r} out of its values; or pass "
                        'on_bad_rows="drop" to leave such lines out'
                    )
                bad.append(number)
                continue
            rows.append(fields)
            if len(rows) == _BLOCK:
                yield self._frame(rows, start, columns)
                start, rows = start + len(rows), []
        if rows:
            yield self._frame(rows, start, columns)
        if bad and dropped is not None:
            problem = f"lines do not have {n_fields} fields, as the header has"
            dropped.append(Dropped(self.path.name, "(all)", problem, len(bad), tuple(bad[:5])))

    def _frame(self, rows: list[list[str]], start: int, columns: Sequence[str]) -> pd.DataFrame:
        index = pd.RangeIndex(start, start + len(rows))
        frame = pd.DataFrame(rows, index, pd.Index(self.names), dtype="str")[list(columns)]
        return frame.mask(frame == "")
