"""Lint rules for stored lessons and solutions.

``faults(path, root)`` checks one notebook against all ``RULES``; ``python -m m6rec_lite.course
check`` prints the faults. A rule is a function that yields its faults as sentences.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote

from m6rec_lite.course.build.execute_in_place import FACTS, facts_line
from m6rec_lite.course.build.exercise_stubs import answer_cells
from m6rec_lite.course.build.lesson_form import claims_have_rows, quick_questions, within_budget
from m6rec_lite.course.build.notebook_page import Page
from m6rec_lite.course.build.notebooks import read_notebook, tags
from m6rec_lite.course.build.staleness import EXERCISE_CALL, METADATA, freshness, stored_freshness
from m6rec_lite.course.exercises.question import exercise_names
from m6rec_lite.data import DataError

#: Maximum size of a file, including outputs.
MAX_BYTES = 1_500_000

#: Tag of cells whose output must be identical at every scale, and their minimum number.
CHECKED, LEAST_CHECKED = "nbval-check-output", 5

LEAST_EXERCISES = 3

PARAMETERS = ("SCALE", "DATASET", "SEED")

MACHINE_PATH = re.compile(
    r"(?<![\w.:/-])/(?:home|root|Users|tmp|work|opt|mnt|private|var/folders)/[\w.-]+"
    r"|\b[A-Z]:\\{1,2}\w+"
)
LINK = re.compile(r"(!?)\[([^\]]*)\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")
HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
ALT = re.compile(r"\balt=[\"'][^\"']+[\"']")
HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
HTML_ANCHOR = re.compile(r"<\w+[^>]*\b(?:id|name)=[\"']([^\"']+)[\"']")


def faults(path: Path, root: Path) -> list[str]:
    """Return the faults of a notebook as sentences; an empty list if there are none.

    Args:
        path: a notebook of ``notebooks/`` or ``solutions/``.
        root: the project's folder.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the rules report what nbformat repairs
            notebook = read_notebook(path)
    except DataError as error:
        return [f"not a valid notebook: {error}"]
    page = Page(path, root, notebook)
    return [fault for rule in RULES for fault in rule(page)]


def small_file(page: Page) -> Iterator[str]:
    """Require a file small enough for the web and for git."""
    size = page.path.stat().st_size
    if size >= MAX_BYTES:
        yield f"the file has {size / 1e6:.2f} MB; stay below {MAX_BYTES / 1e6} MB"


def unique_ids(page: Page) -> Iterator[str]:
    """Require a unique id of every cell."""
    # read the file itself, because nbformat repairs duplicate ids
    cells = json.loads(page.path.read_text(encoding="utf-8"))["cells"]
    counts = Counter(cell.get("id", "") for cell in cells)
    for name, count in counts.items():
        if count > 1 or not name:
            yield f"{count} cell(s) share the id {name!r}"


def executed_in_order(page: Page) -> Iterator[str]:
    """Require that code cells were executed once each, in order."""
    for expected, (number, cell) in enumerate(page.code(), 1):
        if cell.execution_count != expected:
            yield (
                f"cell {number} was executed as number {cell.execution_count}, wanted {expected}; "
                "store the notebook again"
            )
            return


def clean_outputs(page: Page) -> Iterator[str]:
    """Forbid errors, warnings, progress bars and widgets in outputs."""
    for number, cell in page.code():
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"cell {number} shows an error: {output.ename}"
            elif output.output_type == "stream" and output.name == "stderr":
                text = output.text.strip()[:80]
                yield f"cell {number} shows a warning or a progress bar: {text!r}"
            elif "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                yield f"cell {number} stores a widget, which no reader will see"


def no_machine_paths(page: Page) -> Iterator[str]:
    """Forbid paths of the machine on which the notebook ran."""
    if "papermill" in page.notebook.metadata:
        yield "the metadata hold papermill's paths; store the notebook again"
    for number, cell in enumerate(page.notebook.cells, 1):
        texts = [cell.source, json.dumps(cell.metadata)]
        for output in cell.get("outputs", []):
            data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
            texts += [str(output.get("text", "")), str(data), str(output.get("traceback", ""))]
        for text in texts:
            # without embedded images, whose code may look like a path
            match = MACHINE_PATH.search(re.sub(r"base64,[\w+/=]+", "", text))
            if match:
                yield f"cell {number} contains a path of one machine: {match[0]!r}"
                break


def alt_texts(page: Page) -> Iterator[str]:
    """Require alternative text for every image."""
    for number, text in page.prose():
        if any(mark and not alt.strip() for mark, alt, _ in LINK.findall(text)):
            yield f"cell {number}: a picture without alt text"
        if any(not ALT.search(image) for image in HTML_IMAGE.findall(text)):
            yield f"cell {number}: an <img> without alt text"
    for number, cell in page.code():
        for output in cell.outputs:
            data = output.get("data", {})
            images = [kind for kind in data if kind.startswith("image/")]
            if any(not output.metadata.get(kind, {}).get("alt") for kind in images):
                yield f"cell {number}: a figure without alt text; course.show(fig, alt=…)"
            html = str(data.get("text/html", ""))
            if any(not ALT.search(image) for image in HTML_IMAGE.findall(html)):
                yield f"cell {number}: the output has an <img> without alt text"


def parameters_cell(page: Page) -> Iterator[str]:
    """Require one cell tagged ``parameters`` that sets ``PARAMETERS``; optional in solutions."""
    cells = [cell for _, cell in page.code() if "parameters" in tags(cell)]
    if not cells and not page.is_chapter:
        return
    if len(cells) != 1:
        yield f"{len(cells)} cells are tagged 'parameters'; wanted one"
        return
    tree = ast.parse(cells[0].source)
    names = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    missing = [name for name in PARAMETERS if name not in names]
    if missing:
        yield f"the parameters cell does not set {', '.join(missing)}"


def checked_cells(page: Page) -> Iterator[str]:
    """Require cells in a lesson whose outputs are compared exactly at every scale."""
    if not page.is_chapter:
        return
    count = sum(CHECKED in tags(cell) and bool(cell.outputs) for _, cell in page.code())
    if count < LEAST_CHECKED:
        yield f"{count} cells with an output are tagged '{CHECKED}'; wanted {LEAST_CHECKED}"


def fresh_outputs(page: Page) -> Iterator[str]:
    """Require stored outputs of the current code and data."""
    if stored_freshness(page.notebook) != freshness(page.notebook, page.root):
        yield (
            "the stored outputs belong to other code or data; "
            f"python -m m6rec_lite.course store {page.path.parent.name}/{page.path.name}"
        )


def measured_facts(page: Page) -> Iterator[str]:
    """Require the line of facts that was measured."""
    if not page.is_chapter:
        return
    facts = page.notebook.metadata.get(METADATA, {}).get(FACTS)
    cells = [cell for cell in page.notebook.cells if FACTS in tags(cell)]
    if not facts or len(cells) != 1 or cells[0].source != facts_line(facts):
        yield "the line of facts is not what the runner measured; store the notebook again"


def links_resolve(page: Page) -> Iterator[str]:
    """Require that relative links and anchors have a target."""
    for number, text in page.prose():
        for _, _, target in LINK.findall(text):
            if re.match(r"[a-z][a-z0-9+.-]*:", target, re.IGNORECASE):
                continue
            name, _, anchor = target.partition("#")
            file = (page.path.parent / unquote(name)) if name else page.path
            if not file.exists():
                yield f"cell {number}: the link {target!r} leads nowhere"
            elif anchor and file.is_file() and unquote(anchor) not in _anchors(file):
                yield f"cell {number}: no heading for the anchor in {target!r}"


def _anchors(path: Path) -> set[str]:
    """Return the anchors of a file: Jupyter's of a notebook, GitHub's of a Markdown file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [c for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"]
        text = "\n".join("".join(cell["source"]) for cell in cells)
        headings = HEADING.findall(text)
    else:
        headings = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text)]
    return {heading.replace(" ", "-") for heading in headings} | set(HTML_ANCHOR.findall(text))


def exercises_linked(page: Page) -> Iterator[str]:
    """Require links to three exercises in a lesson, and answers to all checks in a solution."""
    if not page.is_chapter:
        answered = answer_cells(page.notebook)
        called = set(EXERCISE_CALL.findall("\n".join(cell.source for _, cell in page.code())))
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
    linked = [name for name in answered if f"`{name}`" in text]
    if len(linked) < LEAST_EXERCISES:
        yield (
            f"{len(linked)} exercises are named ({', '.join(sorted(linked)) or 'none'}); "
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
    claims_have_rows,
    within_budget,
    quick_questions,
)
