"""Hostile texts in every page of HTML that the package writes."""

from __future__ import annotations

import html
import warnings
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.faults.bench import Bench, hostile_texts
from m6rec_lite.audit import audit
from m6rec_lite.course import certificate
from m6rec_lite.course.build.notebooks import write_notebook
from m6rec_lite.course.build.pages import write_index, write_page
from m6rec_lite.course.exercises.engine import INCORRECT, Verdict
from m6rec_lite.data import Dataset, load_dataset

#: Texts of one page.
SIZE = 100


class _Elements(HTMLParser):
    """Collects the tags of a page with their attributes' names.

    Without the ``span`` elements by which nbconvert shows the colours of a terminal; no hostile
    text has one.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[Any] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep a tag and the names of its attributes."""
        if (tag, [name for name, _ in attrs]) != ("span", ["class"]):
            self.tags.append((tag, [name for name, _ in attrs]))

    def handle_endtag(self, tag: str) -> None:
        """Keep the end of an element."""
        if tag != "span":
            self.tags.append(tag)


def index_page(folder: Path, texts: list[str]) -> str:
    """Return an index with the texts as errors of lessons, two of them also as models."""
    row = {"dataset": "d", "scale": "smoke", "split_hash": "x", "variant": "", "seed": 0}
    board = pd.DataFrame([row | {"model": t, "ndcg@10": 0.1, "n_users": 9} for t in texts[:2]])
    lesson = row | {"status": "failed", "seconds": 1.0, "peak_mib": 9, "bounds_held": 0, "code": ""}
    lessons = [lesson | {"chapter": "00_a", "bounds": 0, "broken": "", "error": t} for t in texts]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font of the figure lacks
        write_index(folder, pd.DataFrame(lessons), board, pd.DataFrame([]))
    return (folder / "index.html").read_bytes().decode()


def lesson_page(folder: Path, texts: list[str]) -> str:
    """Return the page of a lesson that shows titles and reviews as a table, a line, and an error.

    The first of them are also the alternative text of a picture and a message of an exercise.
    """
    import nbformat
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    frame = pd.DataFrame({"title": texts, "review": texts[::-1]}, index=pd.Index(texts, name="i"))
    shown = {"text/html": frame.to_html(max_rows=60), "text/plain": str(frame)}
    verdict = Verdict(INCORRECT, message=texts[0], inputs=texts[1], output=texts[2])
    picture = {"image/png": {"alt": texts[0]}}
    cell = new_code_cell("items")
    cell.outputs = [
        new_output("execute_result", data=shown, execution_count=1),
        new_output("display_data", data={"text/html": verdict._repr_html_()}),
        new_output("display_data", data={"image/png": "AAAA"}, metadata=picture),
        new_output("stream", name="stdout", text="\n".join(texts)),
        new_output("error", ename="ValueError", evalue=texts[0], traceback=texts),
    ]
    notebook = nbformat.from_dict(new_notebook(cells=[cell]))
    write_page(notebook, folder / "00_a.html", folder / "00_a.ipynb", folder)
    return (folder / "00_a.html").read_bytes().decode()


def audit_page(folder: Path, texts: list[str]) -> str:
    """Return the report of an audit whose models have the texts as names."""
    users = np.arange(9).repeat(4)
    rows = pd.DataFrame({"user_id": users, "item_id": np.tile(np.arange(4), 9) + users % 3})
    log: Dataset = load_dataset(rows.assign(timestamp=np.arange(len(rows))), progress=False)
    ranks = pd.DataFrame({"user": np.arange(9), "rank": 1.0, "candidates": 4})
    lists = pd.concat(ranks.assign(model=text, rank=1 + i % 4) for i, text in enumerate(texts))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of runs without a difference
        return audit(lists, log).to_html()


def certificate_page(folder: Path, texts: list[str]) -> str:
    """Return a certificate for a person named by a text, of lessons whose titles are the others."""
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

    for i, text in enumerate(texts):
        check = new_code_cell('course.exercise("hit_rate").check(hit_rate)')
        check.outputs = [new_output("stream", name="stdout", text="CORRECT")]
        heading = new_markdown_cell(f"# {i:02d}: {' '.join(text.split())}")
        write_notebook(new_notebook(cells=[heading, check]), folder / f"{i:02d}_a.ipynb")
    path = certificate(texts[0], folder / "certificate.html", folder=folder)
    return path.read_bytes().decode()


#: What writes a page, and whether each text is there whole.
PAGES: dict[str, tuple[Callable[[Path, list[str]], str], bool]] = {
    "index of a run": (index_page, True),
    "page of a lesson": (lesson_page, False),  # pandas cuts long texts
    "report of an audit": (audit_page, True),
    "certificate": (certificate_page, False),  # white space is made plain
}


def hostile_pages(bench: Bench) -> Iterator[str]:
    """Compare the elements of pages with those for plain texts."""
    size = min(SIZE, bench.tries)
    for name, (write, whole) in PAGES.items():
        plain = _Elements(write(bench.fresh(), [f"model {i}" for i in range(size)])).tags
        for number in bench.each(range(bench.tries // size), name):
            # numbered, as models and lessons have different names
            texts = hostile_texts(size, bench.seed + number)
            texts = [f"{text}{i}" for i, text in enumerate(texts)]
            page = write(bench.fresh(), texts)
            lost = whole and any(html.escape(text) not in page for text in texts)
            outcome = "lost: a text" if lost else "escaped"
            if _Elements(page).tags != plain:
                outcome = "lost: other elements"
            yield from [f"{outcome} ({name})"] * size
