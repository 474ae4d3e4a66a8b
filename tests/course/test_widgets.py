"""Experiments in the output of a cell: complete, escaped, small, and readable without a script."""

import html.parser
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from m6rec_lite import course
from m6rec_lite.course.build.notebook_lint import MACHINE_PATH
from m6rec_lite.course.build.staleness import freshness
from m6rec_lite.course.paths import chapters
from m6rec_lite.course.widgets.experiments import EXPERIMENTS, LISTED
from m6rec_lite.course.widgets.output import LONGEST, experiment_html, stored_experiment
from m6rec_lite.language import AddK, NGram
from m6rec_lite.nn import top_p
from tests.worlds import experiment_data

ROOT = Path(__file__).resolve().parents[2]
PLACED = re.findall(r"```\{experiment\} (\d\d) (\w+)", (ROOT / "book/try_it.md").read_text())


class Page(html.parser.HTMLParser):
    """Tags, visible text, and the data of an output."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self.scripts, self.inside = [], [], "", [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.inside = tag
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts.append(data)
        elif self.inside != "style":
            self.text += data


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_output_is_complete_and_asks_for_nothing_else(name):
    page, text = experiment_html(name, experiment_data()[name])
    read = Page(page)
    assert len(page) < LONGEST
    assert not {"src", "href"} & {key for _, key, _ in read.attributes}
    assert not re.search(r"https?:|url\(|@import|fetch|XMLHttp|import\(", page)
    assert not MACHINE_PATH.search(page)
    data, script = read.scripts
    assert json.loads(data)
    assert "try-it" in script
    assert EXPERIMENTS[name].title in text
    rows = [cell for cell in text.split(": ")[-1].split("; ") if cell]
    assert rows
    # what GitHub keeps: no script and no style
    assert "JavaScript" in read.text
    assert read.tags.count("tr") >= 3


def test_titles_cannot_leave_their_place():
    wicked = "</script><script>alert(1)</script><!-- & “x”"
    data = {"items": [wicked, "b"], "counts": [3, 2]}
    page, _ = experiment_html("privacy", data)
    read = Page(page)
    assert read.tags.count("script") == 2
    assert json.loads(read.scripts[0])["items"][0] == wicked
    assert wicked in read.text


def test_a_missing_title_is_shown_as_the_id():
    titles = pd.Series(["a", None], index=["SKU-1", "SKU-2"])
    page, _ = experiment_html("privacy", {"items": titles, "counts": [3, 2]})
    assert json.loads(Page(page).scripts[0])["items"] == ["a", "SKU-2"]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("recency", {}, "no experiment 'recency'; there are decay"),
        ("privacy", {"items": ["a"]}, "needs data\\['counts'\\]"),
        ("privacy", {"items": ["a"], "counts": [1, 2]}, r"counts has the shape \(2,\)"),
        ("attention", {"events": ["a"], "weights": np.ones((1, 1))}, "weights has the shape"),
        ("decay", {"events": ["a"], "items": ["b"], "weights": [[np.nan]]}, "finite"),
        ("privacy", {"items": ["x" * 400] * 200, "counts": range(200)}, "fewer rows"),
    ],
)
def test_wrong_data_are_named(name, data, message):
    with pytest.raises(ValueError, match=message):
        course.try_it(name, data)


def test_the_items_that_a_decay_may_list_are_kept():
    data = experiment_data()["decay"]
    kept = EXPERIMENTS["decay"].prepare(data)["items"]
    for decay in (0.3, 0.65, 1.0):
        scores = decay ** np.arange(len(data["events"]))[::-1] @ data["weights"]
        best = [data["items"][i] for i in np.argsort(-scores)[:LISTED]]
        assert set(best) <= set(kept)
    assert len(kept) < len(data["items"])


@pytest.mark.parametrize("temperature", [0.5, 1, 2])
def test_groups_of_tokens_keep_the_probability_of_the_rest(temperature):
    data = experiment_data()["sampling"]
    prepared = EXPERIMENTS["sampling"].prepare(data)["prompts"]
    for prompt, kept in zip(data["prompts"], prepared, strict=True):
        n = len(kept["tokens"])
        wanted = np.sort(np.exp(prompt["logits"] / temperature))[::-1]
        sizes, logits = np.array(kept["rest"]).T
        found = np.concatenate([kept["logits"], np.repeat(logits, sizes.astype(int))])
        found = np.exp(found / temperature)
        assert len(found) == len(wanted)
        shares = [values[n:].sum() / values.sum() for values in (found, wanted)]
        assert shares[0] == pytest.approx(shares[1], rel=0.01)


def test_rows_without_a_script_are_those_of_the_package():
    experiment = EXPERIMENTS["sampling"]
    prompt = experiment_data()["sampling"]["prompts"][0]
    sentence, rows = experiment.still(experiment.prepare(experiment_data()["sampling"]))
    shares = torch.softmax(top_p(torch.from_numpy(prompt["logits"])[None], 0.9), dim=1)[0]
    assert f" {int((shares > 0).sum())} tokens" in sentence
    wanted = dict(zip(prompt["tokens"], shares.tolist(), strict=True))
    for token, text in rows:
        share = 0 if text == "out" else float(text.removesuffix(" %")) / 100
        assert share == pytest.approx(wanted[token], abs=6e-4)

    sentences = [["a", "b", "a", "c"], ["a", "b"]]
    model = NGram(2, AddK(1), unknown=None).fit(sentences, progress=False)
    words = model.vocabulary
    data = {
        "words": words,
        "once": [model.count([word]) for word in words],
        "after": {"a": [model.count(["a", word]) for word in words]},
    }
    _, rows = EXPERIMENTS["smoothing"].still(EXPERIMENTS["smoothing"].prepare(data))
    for row, text in rows:
        word = row.rpartition(" ")[0]
        assert float(text.removesuffix(" %")) == pytest.approx(
            100 * model.prob(word, ["a"]), abs=0.06
        )


def test_the_page_of_the_site_has_each_experiment_once():
    assert sorted(name for _, name in PLACED) == sorted(EXPERIMENTS)


@pytest.mark.parametrize(("number", "name"), PLACED)
def test_the_stored_lesson_holds_the_experiment_of_the_page(number, name):
    (path,) = chapters(ROOT / "notebooks", number)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(f'course.try_it("{name}"' in source for source in code) == 1
    page = stored_experiment(notebook, name)
    assert page, f"python -m m6rec_lite.course store notebooks/{path.name}"
    script = (ROOT / "m6rec_lite/course/widgets/widgets.js").read_text(encoding="utf-8")
    assert script in page


def test_an_output_is_found_by_its_name():
    page, _ = experiment_html("privacy", experiment_data()["privacy"])
    output = {"output_type": "display_data", "data": {"text/html": page.splitlines(True)}}
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [output]}]
    assert stored_experiment({"cells": cells}, "privacy") == page
    assert stored_experiment({"cells": cells}, "decay") is None


def test_a_changed_script_makes_only_lessons_with_an_experiment_stale(tmp_path):
    folder = tmp_path / "m6rec_lite" / "course" / "widgets"
    folder.mkdir(parents=True)
    (folder / "output.py").write_text("def try_it(name, data): ...\n")
    (folder / "__init__.py").write_text("")
    (folder.parent / "__init__.py").write_text("")
    (folder.parent / "__init__.pyi").write_text(
        "from .scale import sizes\nfrom .widgets.output import try_it\n"
    )
    (folder.parent / "scale.py").write_text("def sizes(): ...\n")
    (folder.parents[1] / "__init__.py").write_text("")
    before = {}
    for script in ("1;\n", "2;\n"):
        (folder / "widgets.js").write_text(script)
        for call in ("sizes()", "try_it('decay', {})"):
            cell = nbformat.v4.new_code_cell(f"from m6rec_lite import course\ncourse.{call}")
            found = freshness(nbformat.v4.new_notebook(cells=[cell]), tmp_path)
            if call in before:
                assert (found == before[call]) == (call == "sizes()")
            before[call] = found
