"""Pages with marked regions that code fills, and Markdown tables.

A region stands between two comments that a page shows nowhere::

    <!-- ladder: begin -->
    | rank | model | …
    <!-- ladder: end -->

``fill`` replaces what stands between them, so that no figure on a page is typed by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from m6rec_lite.course.files import locked
from m6rec_lite.data.files import write_text


def fill(path: Path, region: str, text: str) -> bool:
    """Replace a region of a page.

    Args:
        path: the page.
        region: the name in its two marks.
        text: what to put between them.

    Returns:
        Whether the page changed.

    Raises:
        ValueError: if the page does not hold each mark once, in order.
    """
    begin, end = f"<!-- {region}: begin -->", f"<!-- {region}: end -->"
    with locked(path):
        page = path.read_text("utf-8")
        once = page.count(begin) == page.count(end) == 1
        if not once or page.index(begin) > page.index(end):
            raise ValueError(
                f"{path.name} must hold {begin!r} and, after it, {end!r}, each once; put them "
                "where the text belongs"
            )
        before, rest = page.split(begin)
        after = rest.split(end)[1]
        filled = f"{before}{begin}\n{text.strip()}\n{end}{after}"
        if filled == page:
            return False
        write_text(path, filled)
        return True


def region(path: Path, name: str) -> str:
    """Return what a region holds, stripped; see ``fill``."""
    page = path.read_text("utf-8")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in page or end not in page:
        raise ValueError(f"{path.name} has no region {name!r}")
    return page.split(begin)[1].split(end)[0].strip()


def table(frame: pd.DataFrame) -> str:
    """Return a Markdown table; text to the left, numbers to the right, "" for missing."""
    numeric = [pd.api.types.is_numeric_dtype(frame[name]) for name in frame]
    cells = frame.astype(object).where(frame.notna(), "")
    cells = cells.map(lambda cell: str(cell).replace("|", "\\|").replace("\n", " "))
    align = ["right" if right else "left" for right in numeric]
    text = cells.to_markdown(index=False, disable_numparse=True, colalign=align)
    return re.sub(" {2,}", " ", re.sub("-{3,}", "---", text))  # without padding
