"""Markdown pages with regions that code fills.

A region is delimited by two HTML comments::

    <!-- leaderboard: begin -->
    | rank | model | …
    <!-- leaderboard: end -->

``fill`` replaces the text between them.
"""

from __future__ import annotations

from pathlib import Path

from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import locked


def fill(path: Path, region: str, text: str) -> bool:
    """Replace the text of a region.

    Args:
        path: the page.
        region: name of the region.
        text: the new text.

    Returns:
        Whether the page changed.

    Raises:
        ValueError: if the page does not contain each comment exactly once, in order.
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
        before, after = page.split(begin)[0], page.split(end)[1]
        new_page = f"{before}{begin}\n{text.strip()}\n{end}{after}"
        if new_page == page:
            return False
        write_text(path, new_page)
        return True


def region(path: Path, name: str) -> str:
    """Return the stripped text of a region; see ``fill``."""
    page = path.read_text("utf-8")
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    if begin not in page or end not in page:
        raise ValueError(f"{path.name} has no region {name!r}")
    return page.split(begin)[1].split(end)[0].strip()
