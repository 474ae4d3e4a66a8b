"""What every stored chapter and solution must keep, told as faults in plain words.

``faults(path, root)`` holds one notebook against all the rules; ``python -m m6rec_lite.course
check`` prints them. The rules are the functions named in ``RULES``; each yields its faults.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from m6rec_lite.course.execute_in_place import FACTS, facts_line
from m6rec_lite.course.exercise_stubs import answer_cells, tags
from m6rec_lite.course.exercises.question import exercise_names
from m6rec_lite.course.files import read_notebook
from m6rec_lite.course.paths import chapters
from m6rec_lite.course.staleness import EXERCISE_CALL, METADATA, freshness
from m6rec_lite.data import DataError

#: A file must stay below this, outputs included.
MAX_BYTES = 1_500_000

#: Cells whose output must come out exactly the same at every scale.
CHECKED, LEAST_CHECKED = "nbval-check-output", 5

LEAST_EXERCISES = 3

PARAMETERS = ("SCALE", "DATASET", "SEED")

MACHINE_PATH = re.compile(
    r"(?<![\w.:/-])/(?:home|root|Users|tmp|work|opt|mnt|private|var/folders)/[\w.-]+"
    r"|\b[A-Z]:\\{1,2}\w+"
)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
HTML_ANCHOR = re.compile(r"<\w+[^>]*\b(?:id|name)=[\"']([^\"']+)[\"']")


@dataclass(frozen=True)
class Page:
    """A notebook with its file and the project it belongs to."""

    path: Path
    root: Path
    notebook: Any

    @property
    def is_chapter(self) -> bool:
        """Whether it lies in ``notebooks/``."""
        return self.path.parent.name == "notebooks"

    def code(self) -> Iterator[tuple[int, Any]]:
        """Place (from 1) and cell of the code cells that hold something."""
        for place, cell in enumerate(self.notebook.cells, 1):
            if cell.cell_type == "code" and cell.source.strip():
                yield place, cell

    def prose(self) -> Iterator[tuple[int, str]]:
        """Place and text of the markdown cells, code in them taken out."""
        for place, cell in enumerate(self.notebook.cells, 1):
            if cell.cell_type == "markdown":
                text = re.sub(r"```.*?```|~~~.*?~~~", "", cell.source, flags=re.DOTALL)
                yield place, re.sub(r"`[^`\n]*`", "", text)


def faults(path: Path, root: Path) -> list[str]:
    """Everything that is wrong with a notebook, each in a sentence; empty if it is good.

    Args:
        path: a notebook of ``notebooks/`` or ``solutions/``.
        root: the project's folder.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what it mends on reading, the rules tell
            notebook = read_notebook(path)
    except DataError as error:
        return [f"not a valid notebook: {error}"]
    page = Page(path, root, notebook)
    return [fault for rule in RULES for fault in rule(page)]


def small_file(page: Page) -> Iterator[str]:
    """The file is small enough to be read on the web and kept in git."""
    size = page.path.stat().st_size
    if size >= MAX_BYTES:
        yield f"the file has {size / 1e6:.2f} MB; stay below {MAX_BYTES / 1e6} MB"


def unique_ids(page: Page) -> Iterator[str]:
    """Every cell has an id of its own."""
    # nbformat mends shared ids as it reads, so the file itself is asked
    cells = json.loads(page.path.read_text(encoding="utf-8"))["cells"]
    counts = Counter(cell.get("id", "") for cell in cells)
    for name, count in counts.items():
        if count > 1 or not name:
            yield f"{count} cell(s) share the id {name!r}"


def executed_in_order(page: Page) -> Iterator[str]:
    """Code cells were executed once each, from the top down."""
    for wanted, (place, cell) in enumerate(page.code(), 1):
        if cell.execution_count != wanted:
            yield (
                f"cell {place} was executed as number {cell.execution_count}, wanted {wanted}; "
                "store the notebook again"
            )
            return


def clean_outputs(page: Page) -> Iterator[str]:
    """No error, no warning, no progress bar is shown to the reader."""
    for place, cell in page.code():
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"cell {place} shows an error: {output.ename}"
            elif output.output_type == "stream" and output.name == "stderr":
                told = output.text.strip()[:80]
                yield f"cell {place} shows a warning or a progress bar: {told!r}"
            elif "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                yield f"cell {place} stores a widget, which no reader will see"


def no_machine_paths(page: Page) -> Iterator[str]:
    """Nothing tells on which machine, in which folder, the notebook ran."""
    if "papermill" in page.notebook.metadata:
        yield "the metadata hold papermill's paths; store the notebook again"
    for place, cell in enumerate(page.notebook.cells, 1):
        texts = [cell.source, json.dumps(cell.metadata)]
        for output in cell.get("outputs", []):
            data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
            texts += [str(output.get("text", "")), str(data), str(output.get("traceback", ""))]
        for text in texts:
            # pictures embedded in HTML are letters that may look like anything
            found = MACHINE_PATH.search(re.sub(r"base64,[\w+/=]+", "", text))
            if found:
                yield f"cell {place} holds a path of one machine: {found[0]!r}"
                break


def alt_texts(page: Page) -> Iterator[str]:
    """Every picture says in words what it shows."""
    for place, text in page.prose():
        for mark, alt, _ in LINK.findall(text):
            if mark and not alt.strip():
                yield f"cell {place}: a picture without alt text"
        for image in HTML_IMAGE.findall(text):
            if not re.search(r"\balt=[\"'][^\"']+[\"']", image):
                yield f"cell {place}: an <img> without alt text"
    for place, cell in page.code():
        for output in cell.outputs:
            for kind in output.get("data", {}):
                if kind.startswith("image/") and not output.metadata.get(kind, {}).get("alt"):
                    yield f"cell {place}: a figure without alt text; course.show(fig, alt=…)"
            html = str(output.get("data", {}).get("text/html", ""))
            for image in HTML_IMAGE.findall(html):
                if not re.search(r"\balt=[\"'][^\"']+[\"']", image):
                    yield f"cell {place}: the output has an <img> without alt text"


def parameters_cell(page: Page) -> Iterator[str]:
    """One cell tagged ``parameters`` sets SCALE, DATASET and SEED; a solution may do without."""
    found = [cell for _, cell in page.code() if "parameters" in tags(cell)]
    if not found and not page.is_chapter:
        return
    if len(found) != 1:
        yield f"{len(found)} cells are tagged 'parameters'; wanted one"
        return
    tree = ast.parse(found[0].source)
    names = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    missing = [name for name in PARAMETERS if name not in names]
    if missing:
        yield f"the parameters cell does not set {', '.join(missing)}"


def checked_cells(page: Page) -> Iterator[str]:
    """A chapter has cells whose outputs are compared exactly, at every scale."""
    if not page.is_chapter:
        return
    count = sum(CHECKED in tags(cell) and bool(cell.outputs) for _, cell in page.code())
    if count < LEAST_CHECKED:
        yield f"{count} cells with an output are tagged '{CHECKED}'; wanted {LEAST_CHECKED}"


def fresh_outputs(page: Page) -> Iterator[str]:
    """The stored outputs belong to today's code and data."""
    stored = page.notebook.metadata.get(METADATA, {}).get("freshness")
    if stored != freshness(page.notebook, page.root):
        place = f"{page.path.parent.name}/{page.path.name}"
        yield (
            "the stored outputs belong to other code or data; "
            f"python -m m6rec_lite.course store {place}"
        )


def measured_facts(page: Page) -> Iterator[str]:
    """The line of facts is what the runner measured."""
    if not page.is_chapter:
        return
    facts = page.notebook.metadata.get(METADATA, {}).get(FACTS)
    cells = [cell for cell in page.notebook.cells if FACTS in tags(cell)]
    if not facts or len(cells) != 1 or cells[0].source != facts_line(facts):
        yield "the line of facts is not what the runner measured; store the notebook again"


def links_resolve(page: Page) -> Iterator[str]:
    """Relative links lead to files that exist, and anchors to headings that exist."""
    for place, text in page.prose():
        for _, _, target in LINK.findall(text):
            if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
                continue
            name, _, anchor = target.partition("#")
            file = (page.path.parent / unquote(name)) if name else page.path
            if not file.exists():
                yield f"cell {place}: the link {target!r} leads nowhere"
            elif anchor and file.is_file() and unquote(anchor) not in _anchors(file):
                yield f"cell {place}: no heading for the anchor in {target!r}"


def _anchors(path: Path) -> set[str]:
    """What may follow ``#`` in a link to the file: Jupyter's anchors, or GitHub's for markdown."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
        named = {heading.replace(" ", "-") for heading in HEADING.findall(text)}
    else:
        named = {
            re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in HEADING.findall(text)
        }
    return named | set(HTML_ANCHOR.findall(text))


def exercises_linked(page: Page) -> Iterator[str]:
    """Require three exercises by name in a lesson, and in a solution what its checks ask for."""
    if not page.is_chapter:
        answered = answer_cells(page.notebook)
        called = {
            name for _, cell in page.code() for name in EXERCISE_CALL.findall(cell.source)
        }  # fmt: skip
        for name in sorted(called - set(answered)):
            yield f"no cell begins with '# exercise {name}'"
        for name in sorted(set(answered) - set(exercise_names())):
            yield f"there is no m6rec_lite/course/exercises/{name}.py"
        return
    text = "\n".join(cell.source for cell in page.notebook.cells if cell.cell_type == "markdown")
    if f"../exercises/{page.path.name}" not in text:
        yield f"no link to ../exercises/{page.path.name}"
    solution = page.root / "solutions" / page.path.name
    answered = answer_cells(read_notebook(solution)) if solution.is_file() else {}
    named = [name for name in answered if f"`{name}`" in text]
    if len(named) < LEAST_EXERCISES:
        yield (
            f"{len(named)} exercises are named ({', '.join(sorted(named)) or 'none'}); "
            f"wanted {LEAST_EXERCISES}, each as `name`"
        )


RULES: tuple[Callable[[Page], Iterator[str]], ...] = (
    small_file,
    unique_ids,
    executed_in_order,
    clean_outputs,
    no_machine_paths,
    alt_texts,
    parameters_cell,
    checked_cells,
    fresh_outputs,
    measured_facts,
    links_resolve,
    exercises_linked,
)


def stored_notebooks(root: Path) -> list[Path]:
    """All chapters and solutions of the project."""
    return [*chapters(root / "notebooks"), *chapters(root / "solutions")]
