"""HTML pages of a run: one for each lesson, and an index with the leaderboard."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import nbformat
import pandas as pd

from m6rec_lite.course.figures import leaderboard_alt_text, plot_leaderboard, style
from m6rec_lite.data.files import png_bytes, write_text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ccc; text-align: left; }
div.scroll { overflow-x: auto; }
td.number, th.number { text-align: right; }
tr.bad td { border-left: 4px solid #D55E00; }
img { max-width: 100%; }
"""

#: Metric by which rows are sorted and drawn.
METRIC = "ndcg@10"

LINK = re.compile(r"\]\((?!https?:|mailto:|#|attachment:)([^)\s#]+)(#[^)\s]*)?\)")


def write_page(notebook: Any, page: Path, source: Path, root: Path) -> None:
    """Write an executed notebook as one HTML file.

    Links to lessons point to their pages, other links to the project's files. Images keep their
    alternative text. Formulas are MathML, and the page needs no network.

    Args:
        notebook: the executed ``nbformat`` notebook.
        page: the file to write.
        source: path of the original notebook; its links are relative to it.
        root: the project's folder.
    """
    from m6rec_lite.course.build.export import page_exporter

    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(lambda m: _relocate(m, source, page, root), cell.source)
        elif cell.cell_type == "code":
            cell.outputs = [_with_alt(output) for output in cell.outputs]
    body, _ = page_exporter().from_notebook_node(copy, {"metadata": {"name": page.stem}})
    write_text(page, body)


def _relocate(match: re.Match[str], source: Path, page: Path, root: Path) -> str:
    """Return a link of a notebook relative to its page."""
    target = (source.parent / match[1]).resolve()
    if target.parent == (root / "notebooks").resolve() and target.suffix == ".ipynb":
        link = f"{target.stem}.html"
    else:
        link = Path(os.path.relpath(target, page.parent.resolve())).as_posix()
    return f"]({link}{match[2] or ''})"


def _with_alt(output: Any) -> Any:
    """Return an image output as an ``img`` with alternative text, which nbconvert omits."""
    data = output.get("data", {})
    if "image/png" not in data:
        return output
    alt = output.metadata.get("image/png", {}).get("alt", "")
    html = _image(data["image/png"].strip(), alt)
    return nbformat.v4.new_output("display_data", data={"text/html": html})


def _image(png: str, alt: str) -> str:
    """Return an embedded image from its base64 code."""
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{png}">'


def write_index(
    out: Path, chapters: pd.DataFrame, board: pd.DataFrame, recorded: pd.DataFrame | None = None
) -> None:
    """Write ``index.html``: the leaderboard as a figure and a table, and the list of lessons.

    Args:
        out: folder of the run.
        chapters: rows of ``chapters.csv``.
        board: leaderboard rows of this run, of any split; may be empty.
        recorded: recorded leaderboard rows of the default split; may be empty.
    """
    first = chapters.iloc[0]
    title = f"The course at {first['scale']} scale on {Path(str(first['dataset'])).name}"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>",
        *_boards(board, pd.DataFrame() if recorded is None else recorded),
        "<h2>The chapters</h2>",
        _chapter_table(chapters.sort_values("chapter")),
        "</body></html>\n",
    ]
    write_text(out / "index.html", "\n".join(parts))


def _boards(board: pd.DataFrame, recorded: pd.DataFrame) -> Iterator[str]:
    """Yield the figure and table of the default split, and this run's rows of other splits."""
    board, recorded = (rows if METRIC in rows else rows.iloc[:0] for rows in (board, recorded))
    if not len(board) and not len(recorded):
        return
    largest = board if len(recorded) else _largest(board)
    default_split = (recorded if len(recorded) else largest)["split_hash"].iloc[-1]
    is_default = board["split_hash"] == default_split if len(board) else pd.Series(dtype=bool)
    own, others = board[is_default], board[~is_default]
    yield "<h2>The leaderboard</h2>"
    if len(recorded):
        scale = escape(str(recorded["scale"].iloc[0]))
        yield (
            f"<p>Rows that the project recorded at {scale} scale (<code>results/leaderboard</code>)"
            f", and {len(own) or 'no'} rows of this run on the same split ("
            f"<code>{escape(default_split)}</code>).</p>"
        )
        yield _leaderboard_figure(recorded, own)
        yield _board_table(
            pd.concat([recorded.assign(source="recorded"), own.assign(source="this run")])
        )
    else:
        yield _leaderboard_figure(own)
        yield _board_table(own)
    if len(others):
        yield (
            "<h2>This run on other splits</h2><p>At a small scale a lesson may use a sample of the "
            "users. Each table is of one split; rows of two tables must not be compared.</p>"
        )
    for split, rows in others.groupby("split_hash", sort=False):
        users = f": {int(rows['n_users'].max()):,} users" if _has_values(rows, "n_users") else ""
        yield f"<h3>Split <code>{escape(str(split))}</code>{users}</h3>"
        yield _board_table(rows)


def _has_values(rows: pd.DataFrame, column: str) -> bool:
    return column in rows and bool(rows[column].notna().any())


def _largest(board: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the split with the most users; the newest row if that is unknown."""
    if not _has_values(board, "n_users"):
        return board.iloc[-1:]
    return board[board["n_users"] == board["n_users"].max()]


def _leaderboard_figure(board: pd.DataFrame, own: pd.DataFrame | None = None) -> str:
    """Return the figure of the leaderboard as an embedded image."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context():
        mpl.use("agg")
        style()
        figure = plot_leaderboard(board, own=own)
        png = base64.b64encode(png_bytes(figure)).decode()
        plt.close(figure)
    return _image(png, leaderboard_alt_text(board, own=own))


def _board_table(board: pd.DataFrame) -> str:
    """Return the leaderboard as an HTML table, best first."""
    columns = ["model", "variant", "seed", "hr@10", METRIC, "n_params", "fit_seconds", "source"]
    rows = board.sort_values(METRIC, ascending=False)[[n for n in columns if n in board]]
    rows = rows.fillna({"variant": ""}).rename(columns={"source": "measured"})
    return _table(rows, {"hr@10": 4, METRIC: 4, "fit_seconds": 2})


def bounds_held(row: Mapping[str, Any]) -> str:
    """Return how many asserted bounds of a lesson hold; a dash if it has none."""
    return f"{row['bounds_held']} of {row['bounds']}" if row["bounds"] else "–"


def _chapter_table(chapters: pd.DataFrame) -> str:
    """Return the table of lessons: link, status, cost and errors."""
    records = chapters.to_dict("records")
    rows = pd.DataFrame(
        {
            "chapter": [
                f'<a href="pages/{quote(name)}.html">{escape(name)}</a>'
                for name in chapters["chapter"]
            ],
            "status": [escape(row["status"]) for row in records],
            "seconds": chapters["seconds"].to_list(),
            "peak MiB": chapters["peak_mib"].to_list(),
            "bounds that hold": [bounds_held(row) for row in records],
            "what went wrong": [escape(str(row["error"] or row["broken"])) for row in records],
        }
    )
    return _table(rows, {"seconds": 1}, raw=True, bad=rows["status"] != "finished")


def _cell(value: Any, decimals: int | None) -> str:
    """Format a table cell: thousands separators, a dash for NaN."""
    if isinstance(value, float) and value != value:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,.{decimals}f}" if decimals is not None else f"{value:,.10g}"


def _table(
    rows: pd.DataFrame, decimals: dict[str, int], *, raw: bool = False, bad: pd.Series | None = None
) -> str:
    """Return an HTML table with numbers right-aligned; ``bad`` rows get a coloured edge."""
    css = {
        str(name): ' class="number"' if pd.api.types.is_numeric_dtype(rows[name]) else ""
        for name in rows
    }
    head = "".join(f"<th{attribute}>{escape(name)}</th>" for name, attribute in css.items())
    lines = []
    for i, values in enumerate(rows.itertuples(index=False, name=None)):
        cells = []
        for (name, attribute), value in zip(css.items(), values, strict=True):
            text = _cell(value, decimals.get(name))
            cells.append(f"<td{attribute}>{text if raw else escape(text)}</td>")
        mark = ' class="bad"' if bad is not None and bad.iloc[i] else ""
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="scroll">{table}</div>'
