"""The index and the pages of a run: the ladder, tables on a phone, formulas without a network."""

from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pandas as pd
import pytest
from nbconvert.filters.markdown_mistune import MarkdownWithMath

from m6rec_lite.course.build import quick_models
from m6rec_lite.course.build.export import MathRenderer, mathml
from m6rec_lite.course.build.notebooks import stored_notebooks
from m6rec_lite.course.build.pages import write_index, write_page
from m6rec_lite.course.leaderboard import Leaderboard
from m6rec_lite.data import leave_one_out
from m6rec_lite.data.bazaar import generate

ROOT = Path(__file__).resolve().parents[2]


def board_row(model, split_hash, ndcg, scale="smoke", n_users=10):
    return {
        "dataset": "bazaar", "scale": scale, "split_hash": split_hash, "model": model,
        "variant": "", "seed": 0, "ndcg@10": ndcg, "n_users": n_users,
    }  # fmt: skip


def index_of(tmp_path, board, recorded, chapter="00_a", bounds=0):
    row = {
        "chapter": chapter, "status": "finished", "seconds": 1.0, "peak_mib": 100,
        "bounds_held": bounds, "bounds": bounds, "broken": "", "error": "", "dataset": "bazaar",
        "scale": "smoke", "seed": 0, "code": "",
    }  # fmt: skip
    write_index(tmp_path, pd.DataFrame([row]), pd.DataFrame(board), pd.DataFrame(recorded))
    return (tmp_path / "index.html").read_text()


def test_the_index_shows_the_recorded_ladder_with_this_runs_rows_beside_it(tmp_path):
    recorded = [board_row("Old", "all", 0.2, "laptop"), board_row("EASE", "all", 0.1, "laptop")]
    own = [board_row("EASE", "all", 0.15), board_row("Bigram", "part", 0.4)]
    index = index_of(tmp_path, own, recorded)
    ladder = index[index.index("Bars of") : index.index("data:image/png")]
    assert "EASE 0.100, EASE, this run 0.150, Old 0.200" in ladder
    assert "Bigram" not in ladder  # of other questions
    assert "<h3>Split <code>part</code>: 10 users</h3>" in index
    assert index.index("<h3>Split <code>part") < index.index("<td>Bigram</td>")
    assert "<td>this run</td>" in index


def test_without_recorded_rows_the_largest_split_makes_the_ladder(tmp_path):
    own = [board_row("A", "all", 0.1, n_users=900), board_row("B", "part", 0.2)]
    index = index_of(tmp_path, own, [])
    assert "worst to best: A 0.100." in index
    assert "<h3>Split <code>part</code>" in index
    assert "leaderboard" not in index_of(tmp_path, [], []).lower()


def test_the_index_fits_a_phone_and_escapes_file_names(tmp_path):
    index = index_of(tmp_path, [board_row("A", "all", 0.1)], [], chapter='00_<b>"&')
    assert '<meta name="viewport" content="width=device-width' in index
    assert index.count("<table>") == index.count('<div class="scroll"><table>') > 1
    assert "overflow-x: auto" in index
    assert 'href="pages/00_%3Cb%3E%22%26.html">00_&lt;b&gt;&quot;&amp;</a>' in index
    assert "0 of 0" not in index
    assert "<td>–</td>" in index
    assert "<td>2 of 2</td>" in index_of(tmp_path, [], [], bounds=2)


def test_quick_models_stand_on_all_users_of_the_default_split(tmp_path, monkeypatch):
    dataset = generate(users=60, progress=False)
    monkeypatch.setattr(quick_models, "load", lambda name: dataset)
    said, board = [], Leaderboard(tmp_path)
    added = quick_models.measure_quick_models("bazaar", board, scale="smoke", say=said.append)
    rows = board.frame(dataset.name)
    assert added == len(rows) == len(quick_models.quick_models()) + 1  # and the oracle
    assert said == []
    assert set(rows["split_hash"]) == {leave_one_out(dataset).hash}
    assert {"Popularity", "ContentBased", "ItemKNN", "EASE", "Markov", "IALS"} <= set(rows["model"])


# ---------------------------------------------------------------- formulas


class Formulas(MathRenderer):
    """Collects formulas on their way."""

    def __init__(self):
        super().__init__(escape=False)
        self.seen = []

    def inline_math(self, body):
        self.seen.append((body, super().inline_math(body)))
        return self.seen[-1][1]

    def block_math(self, body):
        self.seen.append((body, super().block_math(body)))
        return self.seen[-1][1]

    def latex_environment(self, name, body):
        self.seen.append((body, super().latex_environment(name, body)))
        return self.seen[-1][1]


@pytest.mark.parametrize("path", stored_notebooks(ROOT), ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_formula_of_a_notebook_is_whole_mathml(path):
    renderer = Formulas()
    for cell in nbformat.read(path, as_version=4).cells:
        outputs = [output.get("data", {}) for output in cell.get("outputs", ())]
        assert not any("text/latex" in data for data in outputs)
        texts = [data["text/markdown"] for data in outputs if "text/markdown" in data]
        texts += [cell.source] if cell.cell_type == "markdown" else []
        for text in texts:
            MarkdownWithMath(renderer=renderer).render(text)
    for formula, element in renderer.seen:
        tree = ElementTree.fromstring(element)  # well formed
        assert tree.tag.endswith("}math"), formula
        assert "merror" not in element, formula
        left = [text for text in tree.itertext() if "\\" in text or "$" in text]
        assert left == [], formula


def test_a_page_needs_no_network_and_shows_no_tex(tmp_path):
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(
                "Let $x_i$ be\n\n$$\\sum_i \\tfrac{1}{n} x_i$$\n\n"
                "\\begin{align}a &= b\\end{align}\n\nwhere `$x$` is code."
            )
        ]
    )
    write_page(notebook, tmp_path / "a.html", tmp_path / "a.ipynb", tmp_path)
    page = (tmp_path / "a.html").read_text()
    assert page.count("<math") == 3
    assert "tfrac" not in page
    assert "begin{" not in page
    assert "<code>$x$</code>" in page
    assert "<script" not in page
    assert 'name="viewport"' in page
    assert mathml("\\unknown{") == "<code>\\unknown{</code>"
