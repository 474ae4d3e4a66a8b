"""The directive ``leaderboard``: a file of ``results/leaderboard/`` as a table."""

from pathlib import Path
from typing import ClassVar

import pandas as pd
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

from m6rec_lite import course

#: Columns of the table: name in the file, heading, digits.
COLUMNS = {
    "model": ("model", ""),
    "variant": ("variant", ""),
    "seed": ("seed", ""),
    "ndcg@10": ("NDCG@10", ".4f"),
    "ndcg@10_low": ("low", ".4f"),
    "ndcg@10_high": ("high", ".4f"),
    "hr@10": ("HR@10", ".4f"),
    "coverage@10": ("coverage", ".2f"),
    "n_params": ("parameters", ",.0f"),
    "fit_seconds": ("fit, s", ".1f"),
    "peak_mib": ("peak MiB", ".0f"),
}


def cells(rows: pd.DataFrame) -> list[list[str]]:
    """Return the texts of a leaderboard's cells, the best NDCG@10 first."""
    rows = rows.sort_values("ndcg@10", ascending=False)
    columns = []
    for name, (_, digits) in COLUMNS.items():
        missing = rows[name].isna()
        texts = rows[name].map(lambda value, digits=digits: format(value, digits))
        columns.append(texts.mask(missing, ""))
    return [list(row) for row in zip(*columns, strict=True)]


def table(heading: list[str], rows: list[list[str]], title: str) -> nodes.table:
    """Return a table with a header row and a title."""
    body = nodes.tbody("", *(row_of(row) for row in rows))
    group = nodes.tgroup(cols=len(heading))
    group += [nodes.colspec(colwidth=1) for _ in heading]
    group += [nodes.thead("", row_of(heading)), body]
    return nodes.table("", nodes.title(text=title, translatable=False), group, classes=["sortable"])


def row_of(texts: list[str]) -> nodes.row:
    """Return a row of a table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph(text=text)) for text in texts))


class LeaderboardDirective(SphinxDirective):
    """Show the leaderboard of a data set, such as ``bazaar``."""

    required_arguments = 1
    option_spec: ClassVar[dict] = {}

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        folder = Path(self.env.srcdir) / "results" / "leaderboard"
        name = self.arguments[0]
        self.env.note_dependency(str(folder / f"{name}.csv"))
        rows = course.Leaderboard(folder).frame(name)
        heading = [title for title, _ in COLUMNS.values()]
        return [table(heading, cells(rows), f"{name}: {len(rows)} rows, best first")]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("leaderboard", LeaderboardDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
