"""A run as pages to read in a browser: one for each chapter, and an index with the ladder."""

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

from m6rec_lite.course.figures import ladder, ladder_alt, style
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

#: By which rows are ordered and drawn.
METRIC = "ndcg@10"

LINK = re.compile(r"\]\((?!https?:|mailto:|#|attachment:)([^)\s#]+)(#[^)\s]*)?\)")


def write_page(notebook: Any, page: Path, source: Path, root: Path) -> None:
    """Write an executed notebook as one HTML file.

    Links to chapters lead to their pages, other links to the project's files; pictures keep their
    text for those who cannot see them. Formulas are MathML, and the page needs no network.

    Args:
        notebook: the executed ``nbformat`` notebook.
        page: the file to write.
        source: where the notebook came from; its links are relative to it.
        root: the project's folder.
    """
    from m6rec_lite.course.export import page_exporter

    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(lambda m: _moved(m, source, page, root), cell.source)
        elif cell.cell_type == "code":
            cell.outputs = [_with_alt(output) for output in cell.outputs]
    body, _ = page_exporter().from_notebook_node(copy, {"metadata": {"name": page.stem}})
    write_text(page, body)


def _moved(match: re.Match[str], source: Path, page: Path, root: Path) -> str:
    """A link that was relative to the chapter, relative to its page instead."""
    target = (source.parent / match[1]).resolve()
    if target.parent == (root / "notebooks").resolve() and target.suffix == ".ipynb":
        moved = f"{target.stem}.html"
    else:
        moved = Path(os.path.relpath(target, page.parent.resolve())).as_posix()
    return f"]({moved}{match[2] or ''})"


def _with_alt(output: Any) -> Any:
    """A picture as an ``img`` with its text; nbconvert's own template leaves the text out."""
    data = output.get("data", {})
    if "image/png" not in data:
        return output
    alt = output.metadata.get("image/png", {}).get("alt", "")
    html = f'<img alt="{escape(alt)}" src="data:image/png;base64,{data["image/png"].strip()}">'
    return nbformat.v4.new_output("display_data", data={"text/html": html})


def write_index(
    out: Path, chapters: pd.DataFrame, board: pd.DataFrame, recorded: pd.DataFrame | None = None
) -> None:
    """Write ``index.html``: the ladder, the leaderboard, and the chapters with what they took.

    Args:
        out: the run's folder.
        chapters: the rows of ``chapters.csv``.
        board: this run's leaderboard rows, of any split; may be empty.
        recorded: rows that the project recorded on the default split; may be empty.
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
    """The ladder of the default split, its rows, and this run's rows of every other split."""
    board, recorded = (rows if METRIC in rows else rows.iloc[:0] for rows in (board, recorded))
    if not len(board) and not len(recorded):
        return
    largest = board if len(recorded) else _largest(board)
    chosen = (recorded if len(recorded) else largest)["split_hash"].iloc[-1]
    on_it = board["split_hash"] == chosen if len(board) else pd.Series(dtype=bool)
    own, others = board[on_it], board[~on_it]
    yield "<h2>The ladder</h2>"
    if len(recorded):
        scale = escape(str(recorded["scale"].iloc[0]))
        yield (
            f"<p>Rows that the project recorded at {scale} scale (<code>results/leaderboard</code>)"
            f", and beside them {len(own) or 'no'} rows of this run on the same questions (split "
            f"<code>{escape(chosen)}</code>).</p>"
        )
        yield _ladder(recorded, own)
        yield _board_table(
            pd.concat([recorded.assign(source="recorded"), own.assign(source="this run")])
        )
    else:
        yield _ladder(own)
        yield _board_table(own)
    if len(others):
        yield (
            "<h2>This run on other questions</h2><p>A chapter may take a part of the users at a "
            "small scale. Each table is of one split; rows of two tables must not be compared.</p>"
        )
    for split, rows in others.groupby("split_hash", sort=False):
        users = f": {int(rows['n_users'].max()):,} users" if _known(rows, "n_users") else ""
        yield f"<h3>Split <code>{escape(str(split))}</code>{users}</h3>"
        yield _board_table(rows)


def _known(rows: pd.DataFrame, column: str) -> bool:
    return column in rows and bool(rows[column].notna().any())


def _largest(board: pd.DataFrame) -> pd.DataFrame:
    """The rows of the split with the most users; of the newest where that is not known."""
    if not _known(board, "n_users"):
        return board.iloc[-1:]
    return board[board["n_users"] == board["n_users"].max()]


def _ladder(board: pd.DataFrame, own: pd.DataFrame | None = None) -> str:
    """The ladder as an embedded picture."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context():
        mpl.use("agg")
        style()
        figure = ladder(board, own=own)
        picture = base64.b64encode(png_bytes(figure)).decode()
        plt.close(figure)
    alt = escape(ladder_alt(board, own=own))
    return f'<img alt="{alt}" src="data:image/png;base64,{picture}">'


def _board_table(board: pd.DataFrame) -> str:
    """The leaderboard, best first."""
    wanted = ["model", "variant", "seed", "hr@10", METRIC, "n_params", "fit_seconds", "source"]
    rows = board.sort_values(METRIC, ascending=False)[[n for n in wanted if n in board]]
    rows = rows.fillna({"variant": ""}).rename(columns={"source": "measured"})
    return _table(rows, {"hr@10": 4, METRIC: 4, "fit_seconds": 2})


def bounds_held(row: Mapping[str, Any]) -> str:
    """How many bounds of a chapter hold; a dash where it has none."""
    return f"{row['bounds_held']} of {row['bounds']}" if row["bounds"] else "–"


def _chapter_table(chapters: pd.DataFrame) -> str:
    """Each chapter with a link to its page, what it took, and what went wrong."""
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


def _cell(value: Any, places: int | None) -> str:
    """A value as it stands in a table: thousands apart, a dash for what was not measured."""
    if isinstance(value, float) and value != value:
        return "–"
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,.{places}f}" if places is not None else f"{value:,.10g}"


def _table(
    rows: pd.DataFrame, places: dict[str, int], *, raw: bool = False, bad: pd.Series | None = None
) -> str:
    """An HTML table, numbers to the right; rows marked bad get a coloured edge."""
    number = {name: pd.api.types.is_numeric_dtype(rows[name]) for name in rows}
    css = {name: ' class="number"' if number[name] else "" for name in rows}
    head = "".join(f"<th{css[name]}>{escape(str(name))}</th>" for name in rows)
    lines = []
    for place, row in enumerate(rows.to_dict("records")):
        cells = []
        for name, value in row.items():
            text = _cell(value, places.get(name))
            cells.append(f"<td{css[name]}>{text if raw else escape(text)}</td>")
        mark = ' class="bad"' if bad is not None and bad.iloc[place] else ""
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="scroll">{table}</div>'
