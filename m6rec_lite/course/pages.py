"""A run as pages to read in a browser: one for each chapter, and an index with the ladder."""

from __future__ import annotations

import base64
import os
import re
from html import escape
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd

from m6rec_lite.course.figures import ladder, ladder_alt, png, style
from m6rec_lite.course.leaderboard import write_atomically

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ccc; text-align: left; }
td.number, th.number { text-align: right; }
tr.bad td { border-left: 4px solid #D55E00; }
img { max-width: 100%; }
"""

LINK = re.compile(r"\]\((?!https?:|mailto:|#|attachment:)([^)\s#]+)(#[^)\s]*)?\)")


def write_page(notebook: Any, page: Path, source: Path, root: Path) -> None:
    """Write an executed notebook as one HTML file.

    Links to chapters lead to their pages, other links to the project's files; pictures keep their
    text for those who cannot see them.

    Args:
        notebook: the executed ``nbformat`` notebook.
        page: the file to write.
        source: where the notebook came from; its links are relative to it.
        root: the project's folder.
    """
    from nbconvert import HTMLExporter

    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(lambda m: _moved(m, source, page, root), cell.source)
        elif cell.cell_type == "code":
            cell.outputs = [_with_alt(output) for output in cell.outputs]
    exporter = HTMLExporter()
    body, _ = exporter.from_notebook_node(copy, {"metadata": {"name": page.stem}})
    write_atomically(page, body)


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


def write_index(out: Path, chapters: pd.DataFrame, board: pd.DataFrame) -> None:
    """Write ``index.html``: the ladder, the leaderboard, and the chapters with what they took.

    Args:
        out: the run's folder.
        chapters: the rows of ``chapters.csv``.
        board: leaderboard rows that may be compared; may be empty.
    """
    first = chapters.iloc[0]
    title = f"The course at {first['scale']} scale on {Path(str(first['dataset'])).name}"
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
    ]
    if len(board) and "ndcg@10" in board:
        parts.append("<h2>The ladder</h2>")
        parts.append(_ladder(board))
        parts.append(_board_table(board))
    parts.append("<h2>The chapters</h2>")
    parts.append(_chapter_table(chapters.sort_values("chapter")))
    parts.append("</body></html>\n")
    write_atomically(out / "index.html", "\n".join(parts))


def _ladder(board: pd.DataFrame) -> str:
    """The ladder as an embedded picture."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context():
        mpl.use("agg")
        style()
        figure = ladder(board)
        picture = base64.b64encode(png(figure)).decode()
        plt.close(figure)
    return f'<img alt="{escape(ladder_alt(board))}" src="data:image/png;base64,{picture}">'


def _board_table(board: pd.DataFrame) -> str:
    """The leaderboard, best first."""
    wanted = ["model", "variant", "seed", "hr@10", "ndcg@10", "n_params", "fit_seconds"]
    rows = board.sort_values("ndcg@10", ascending=False)[[n for n in wanted if n in board]]
    return _table(rows.fillna({"variant": ""}), {"hr@10": 4, "ndcg@10": 4, "fit_seconds": 2})


def _chapter_table(chapters: pd.DataFrame) -> str:
    """Each chapter with a link to its page, what it took, and what went wrong."""
    rows = pd.DataFrame(
        {
            "chapter": [f'<a href="pages/{name}.html">{name}</a>' for name in chapters["chapter"]],
            "status": chapters["status"].to_list(),
            "seconds": chapters["seconds"].to_list(),
            "peak MB": chapters["peak_mb"].to_list(),
            "bounds that hold": [
                f"{held} of {total}"
                for held, total in zip(chapters["bounds_held"], chapters["bounds"], strict=True)
            ],
            "what went wrong": [
                escape(str(error or broken))
                for error, broken in zip(chapters["error"], chapters["broken"], strict=True)
            ],
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
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
