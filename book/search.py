"""Chinese in the search, without a dictionary of words."""

import re

from sphinx.application import Sphinx
from sphinx.search.zh import SearchChinese
from sphinx.util.typing import ExtensionMetadata

CHINESE = re.compile(r"[\u3400-\u9fff]+")


class Chinese(SearchChinese):
    """Index pairs of characters and whole runs.

    The search finds a word of two characters as a pair, and a longer one as a part of a run.
    """

    language_name = "English"  # of the stemmer that the page uses for other words

    def split(self, input: str) -> list[str]:
        """Return the terms of a text."""
        runs = CHINESE.findall(input)
        pairs = [run[i : i + 2] for run in runs for i in range(len(run) - 1)]
        return [*runs, *pairs, *super().split(CHINESE.sub(" ", input))]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the language."""
    app.add_search_language(Chinese)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
