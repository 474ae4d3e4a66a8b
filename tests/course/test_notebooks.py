"""The stored chapters and solutions keep the rules, and every rule catches its own fault."""

import copy
import os
import re
from pathlib import Path

import nbformat
import pytest

from m6rec_lite.course.build import lesson_form
from m6rec_lite.course.build import notebook_lint as notebooks
from m6rec_lite.course.build.execute_in_place import facts_line
from m6rec_lite.course.build.exercise_stubs import generate
from m6rec_lite.course.build.notebook_lint import faults
from m6rec_lite.course.build.notebooks import stored_notebooks
from m6rec_lite.course.build.staleness import METADATA, freshness
from m6rec_lite.course.paths import chapters

ROOT = Path(__file__).resolve().parents[2]
STORED = stored_notebooks(ROOT)


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("path", STORED, ids=name)
def test_a_stored_notebook_keeps_every_rule(path):
    assert faults(path, ROOT) == []


def test_exercises_are_those_that_the_solutions_give():
    made = dict(generate(ROOT))
    assert sorted(made) == chapters(ROOT / "exercises"), "run: make exercises"
    for path, text in made.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} differs; run: make exercises"


def test_every_chapter_has_its_solutions():
    assert [p.name for p in chapters(ROOT / "notebooks")] == [
        p.name for p in chapters(ROOT / "solutions")
    ]


@pytest.mark.parametrize("path", STORED, ids=name)
def test_prose_names_only_chapters_that_exist(path):
    there = {p.name[:2] for p in chapters(ROOT / "notebooks")}
    cells = nbformat.read(path, as_version=4).cells
    prose = " ".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert set(re.findall(r"[Cc]hapters? \[?(\d\d)\b", prose)) <= there


# ---------------------------------------------------------------- each rule on a small notebook

new_code, new_prose = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell
FACTS = {"minutes": 3, "seconds": {"smoke": 2.5, "laptop": 40.0}, "peak_mib": {"smoke": 300}}
FACTS |= {"gpu": False}


def stdout(text):
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def picture(metadata):
    data = {"image/png": "iVBORw0KGgo=", "text/plain": "a figure"}
    return nbformat.v4.new_output("display_data", data=data, metadata=metadata)


def good_notebook():
    """A chapter without fault."""
    cells = [
        new_prose(
            "# One\n\nSee [below](#Where-it-fails), [two](02_b.ipynb#Two), [readme](../README.md),"
            " [web](https://x.org/nothing) and the [exercises](../exercises/01_a.ipynb): "
            "`bm25`, `recall` and `rrf`.\n\n"
            "![A cat](cat.png)\n\n`[not](a link)`\n\n```\n[nor](this)\n```",
            id="title",
        ),
        new_prose(facts_line(FACTS), id="facts", metadata={"tags": ["facts"]}),
        new_code(
            "SCALE = 'smoke'\nDATASET = 'bazaar'\nSEED = 0",
            id="parameters",
            metadata={"tags": ["parameters"]},
        ),
        new_prose("## Where it fails\n\nHere.", id="fails"),
        *(
            new_code(f"{i}", id=f"c{i}", metadata={"tags": ["nbval-check-output"]},
                     outputs=[stdout(str(i))])
            for i in range(5)
        ),
        new_code("figure", id="fig", outputs=[picture({"image/png": {"alt": "A line rises."}})]),
        new_code("", id="empty"),
    ]  # fmt: skip
    count = 0
    for cell in cells:
        if cell.cell_type == "code" and cell.source:
            count += 1
            cell.execution_count = count
    return nbformat.v4.new_notebook(cells=cells)


@pytest.fixture
def root(tmp_path, monkeypatch):
    for folder in ("notebooks", "solutions", "exercises", "m6rec_lite"):
        (tmp_path / folder).mkdir()
    (tmp_path / "README.md").write_text("# Hello there\n")
    (tmp_path / "notebooks" / "cat.png").touch()
    (tmp_path / "exercises" / "01_a.ipynb").touch()
    second = nbformat.v4.new_notebook(cells=[new_prose("# Two")])
    nbformat.write(second, tmp_path / "notebooks" / "02_b.ipynb")
    names = ["bm25", "cosine", "recall", "rrf"]
    answers = nbformat.v4.new_notebook(
        cells=[new_code(f"# exercise {name}\na = 1", id=name) for name in names]
    )
    nbformat.write(answers, tmp_path / "solutions" / "01_a.ipynb")
    monkeypatch.setattr(notebooks, "exercise_names", lambda: names)
    monkeypatch.setattr(lesson_form, "LEAST_QUESTIONS", 0)
    return tmp_path


def stored(notebook, root, folder="notebooks", *, fresh=True, facts=True):
    path = root / folder / "01_a.ipynb"
    if fresh:
        metadata = {"freshness": freshness(notebook, root)}
        notebook.metadata[METADATA] = metadata | ({"facts": FACTS} if facts else {})
    nbformat.write(notebook, path)
    return path


def cell(notebook, name):
    return next(cell for cell in notebook.cells if cell.id == name)


def test_a_good_notebook_has_no_fault(root):
    assert faults(stored(good_notebook(), root), root) == []


def change_order(nb):
    cell(nb, "c3").execution_count = 1


def forget_a_cell(nb):
    cell(nb, "c4").execution_count = None


def raise_error(nb):
    error = nbformat.v4.new_output("error", ename="KeyError", evalue="1", traceback=["x"])
    cell(nb, "c0").outputs.append(error)


def warn(nb):
    text = "FutureWarning: no"
    cell(nb, "fig").outputs.append(nbformat.v4.new_output("stream", name="stderr", text=text))


def add_widget(nb):
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "bar"}
    cell(nb, "fig").outputs.append(nbformat.v4.new_output("display_data", data=data))


def print_path(nb):
    cell(nb, "c1").outputs = [stdout("read /home/ada/course/items.csv")]


def print_windows_path(nb):
    cell(nb, "c1").outputs = [stdout(r"read C:\Users\ada")]


def write_path(nb):
    cell(nb, "c1").source = "open('/tmp/x')"


def keep_papermill(nb):
    nb.metadata["papermill"] = {"input_path": "a.ipynb"}


def drop_alt(nb):
    cell(nb, "fig").outputs = [picture({})]


def drop_html_alt(nb):
    data = {"text/html": '<img src="x.png">'}
    cell(nb, "fig").outputs = [nbformat.v4.new_output("display_data", data=data)]


def drop_markdown_alt(nb):
    cell(nb, "fails").source = "## Where it fails\n![](cat.png)"


def drop_tag_alt(nb):
    cell(nb, "fails").source = "## Where it fails\n<img src='cat.png'>"


def drop_parameters(nb):
    cell(nb, "parameters").metadata = {}


def two_parameters(nb):
    cell(nb, "c0").metadata["tags"].append("parameters")


def drop_seed(nb):
    cell(nb, "parameters").source = "SCALE = DATASET = ''"


def check_four(nb):
    cell(nb, "c0").metadata = {}


def check_one_without_output(nb):
    cell(nb, "c0").outputs = []


def break_link(nb):
    cell(nb, "fails").source += " [x](03_c.ipynb)"


def break_anchor(nb):
    cell(nb, "fails").source += " [x](#Where-it-falls)"


def break_far_anchor(nb):
    cell(nb, "fails").source += " [x](02_b.ipynb#Three)"


def break_markdown_anchor(nb):
    cell(nb, "fails").source += " [x](../README.md#hello)"


def change_facts(nb):
    cell(nb, "facts").source = cell(nb, "facts").source.replace("3 min", "2 min")


def no_exercise_link(nb):
    cell(nb, "title").source = cell(nb, "title").source.replace("../exercises/01_a", "02_b")


def two_exercises(nb):
    cell(nb, "title").source = cell(nb, "title").source.replace("`rrf`", "`ndcg`")


def grow(nb):
    cell(nb, "fig").outputs[0].data["image/png"] = "A" * 1_500_000


FAULTS = [
    (change_order, "executed as number 1, wanted 5"),
    (forget_a_cell, "executed as number None"),
    (raise_error, "shows an error: KeyError"),
    (warn, "warning or a progress bar: 'FutureWarning"),
    (add_widget, "stores a widget"),
    (print_path, "'/home/ada'"),
    (print_windows_path, "path of one machine"),
    (write_path, "'/tmp/x'"),
    (keep_papermill, "papermill's paths"),
    (drop_alt, "figure without alt"),
    (drop_html_alt, "output has an <img> without alt"),
    (drop_markdown_alt, "picture without alt"),
    (drop_tag_alt, "an <img> without alt"),
    (drop_parameters, "0 cells are tagged 'parameters'"),
    (two_parameters, "2 cells are tagged 'parameters'"),
    (drop_seed, "does not set SEED"),
    (check_four, "4 cells with an output are tagged"),
    (check_one_without_output, "4 cells with an output are tagged"),
    (break_link, "'03_c.ipynb' leads nowhere"),
    (break_anchor, "#Where-it-falls"),
    (break_far_anchor, "02_b.ipynb#Three"),
    (break_markdown_anchor, "README.md#hello"),
    (change_facts, "not what the runner measured"),
    (no_exercise_link, "no link to ../exercises/01_a.ipynb"),
    (two_exercises, "2 exercises are named (bm25, recall)"),
    (grow, "stay below 1.5 MB"),
]


@pytest.mark.parametrize(("spoil", "told"), FAULTS, ids=[spoil.__name__ for spoil, _ in FAULTS])
def test_each_fault_is_told_and_no_other(spoil, told, root):
    notebook = good_notebook()
    spoil(notebook)
    found = faults(stored(notebook, root), root)
    assert len(found) == 1, found
    assert told in found[0]


def test_shared_ids_are_told(root):
    path = stored(good_notebook(), root)
    path.write_text(path.read_text().replace('"id": "c3"', '"id": "c4"'))
    (found,) = faults(path, root)
    assert found == "2 cell(s) share the id 'c4'"


def test_outputs_of_other_code_are_told(root):
    notebook = good_notebook()
    stored(notebook, root)
    changed = copy.deepcopy(notebook)
    cell(changed, "c2").source = "3 - 1"
    (found,) = faults(stored(changed, root, fresh=False), root)
    assert "store notebooks/01_a.ipynb" in found


def test_a_notebook_that_was_never_stored_is_told(root):
    found = faults(stored(good_notebook(), root, fresh=False), root)
    assert len(found) == 2  # neither hash nor facts


def test_a_solution_answers_what_it_checks_and_has_no_facts(root):
    notebook = good_notebook()
    cell(notebook, "title").source = "# Solutions"
    cell(notebook, "c0").source = "# exercise bm25\na = 1"
    cell(notebook, "c1").source = "# exercise bm52\na = 1"
    cell(notebook, "c2").source = "course.exercise('bm25'); course.exercise('recall')"
    first, second = faults(stored(notebook, root, "solutions", facts=False), root)
    assert first == "no cell begins with '# exercise recall'"
    assert second == "there is no m6rec_lite/course/exercises/bm52.py"


def test_a_torn_file_is_told(root):
    path = root / "notebooks" / "01_a.ipynb"
    path.write_text('{"cells": [')
    (found,) = faults(path, root)
    assert found.startswith("not a valid notebook")


def test_the_project_lies_where_the_tests_look_for_it():
    assert (ROOT / "m6rec_lite").is_dir()
    assert not os.path.isabs(name(ROOT / "notebooks" / "00_welcome.ipynb"))
