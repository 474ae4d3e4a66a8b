"""The hash that tells whether stored outputs belong to today's code."""

import nbformat
import pytest

from m6rec_lite.course.build.execute_in_place import uses_torch
from m6rec_lite.course.build.staleness import freshness, used_modules

FILES = {
    "__init__.py": '"""The package."""\n',
    "data/__init__.py": "from m6rec_lite.data.tables import EVENTS, load\n",
    "data/words.json": '["one"]',
    "data/figures.csv": "one\n",
    "data/tables.py": 'EVENTS = ("view",)\n\n\ndef load():\n    return 1\n',
    "models/__init__.py": (
        "from m6rec_lite.models.ease import EASE\nfrom .markov import Bigram\nVERSION = 1\n"
    ),
    "models/base.py": (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from m6rec_lite.models.heavy import Heavy\n\n\nclass Base:\n    pass\n"
    ),
    "models/ease.py": (
        '"""Linear."""\nfrom m6rec_lite.data import EVENTS\nfrom m6rec_lite.models.base import Base'
        '\n\n\nclass EASE(Base):\n    """Text."""\n\n    l2 = 1  # a number\n'
    ),
    "models/markov.py": (
        "from .base import Base\n\n\nclass Bigram(Base):\n    def f(self):\n"
        "        import torch\n        return torch\n"
    ),
    "models/heavy.py": "class Heavy: ...\n",
    "course/__init__.py": (
        "from m6rec_lite.course.figures import show\nfrom m6rec_lite.course.ask import exercise\n"
    ),
    "course/figures.py": "def show():\n    return 1\n",
    "course/ask.py": "def exercise(number):\n    return number\n",
    "course/exercises/f.py": "from m6rec_lite.course.ask import exercise\n",
    "course/exercises/g.py": "G = 1\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "m6rec_lite" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "datasets" / "bazaar").mkdir(parents=True)
    (tmp_path / "datasets" / "bazaar" / "items.parquet").write_bytes(b"one")
    (tmp_path / "datasets" / "bazaar" / "README.md").write_text("one")
    return tmp_path


def names(code, root):
    base = root / "m6rec_lite"
    return {path.relative_to(base).as_posix() for path in used_modules(code, root)}


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("import numpy", set()),
        ("", set()),
        ("from m6rec_lite.data import load", {"data/tables.py"}),
        (
            "from m6rec_lite.models import EASE",
            {"models/ease.py", "models/base.py", "data/tables.py"},
        ),
        ("from m6rec_lite.models import Bigram", {"models/markov.py", "models/base.py"}),
        ("from m6rec_lite import course\ncourse.show()", {"course/figures.py"}),
        ("from m6rec_lite import course as c\nc.show()", {"course/figures.py"}),
        ("from m6rec_lite.models.heavy import Heavy", {"models/heavy.py"}),
        ("from m6rec_lite.models import heavy", {"models/heavy.py"}),
        ("import m6rec_lite.models.heavy", {"models/heavy.py"}),
        (
            "import importlib\nimportlib.import_module('m6rec_lite.data').load()",
            {"data/tables.py"},
        ),
        (
            "from m6rec_lite import course\ncourse.exercise('f')",
            {"course/ask.py", "course/exercises/f.py"},
        ),
    ],
)
def test_modules_are_followed_by_name(code, wanted, root):
    assert names(code, root) == wanted


def test_a_name_of_the_package_itself_takes_the_package_whole(root):
    found = names("from m6rec_lite.models import VERSION", root)
    assert found >= {"models/__init__.py", "models/ease.py", "models/markov.py"}


def test_a_package_used_bare_is_taken_whole(root):
    found = names("from m6rec_lite import course\nprint(course)", root)
    assert found == {"course/__init__.py", "course/figures.py", "course/ask.py"}


def hashed(root, *sources, prose="# One"):
    cells = [nbformat.v4.new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    cells.insert(0, nbformat.v4.new_markdown_cell(prose, id="t"))
    return freshness(nbformat.v4.new_notebook(cells=cells), root)


USE = "from m6rec_lite.models import EASE\nEASE.l2"


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("m6rec_lite/models/ease.py", "l2 = 1  # a number", "l2 = 1"),
        ("m6rec_lite/models/ease.py", '"""Text."""', '"""Other\n    words."""'),
        ("m6rec_lite/models/ease.py", '"""Linear."""\n', '"""Linear."""\n\n\n# why\n'),
        ("m6rec_lite/models/markov.py", "return torch", "return 2"),
        ("m6rec_lite/models/__init__.py", "VERSION = 1", "VERSION = 2"),
        ("datasets/bazaar/README.md", "one", "two"),
    ],
)
def test_what_cannot_change_an_output_keeps_the_hash(name, old, new, root):
    before = hashed(root, USE)
    path = root / name
    path.write_text(path.read_text().replace(old, new))
    assert hashed(root, USE) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("m6rec_lite/models/ease.py", "l2 = 1", "l2 = 2"),
        ("m6rec_lite/models/base.py", "pass", "x = 1"),
        ("m6rec_lite/data/tables.py", "view", "click"),
        ("m6rec_lite/data/words.json", "one", "two"),
        ("m6rec_lite/data/figures.csv", "one", "two"),
        ("datasets/bazaar/items.parquet", "one", "two"),
    ],
)
def test_what_may_change_an_output_changes_the_hash(name, old, new, root):
    before = hashed(root, USE)
    path = root / name
    path.write_text(path.read_text().replace(old, new))
    assert hashed(root, USE) != before


def test_cells_count_by_their_code_and_order(root):
    before = hashed(root, USE, "x = 1")
    assert hashed(root, USE, "x = 1  # one", prose="# Two") == before
    assert hashed(root, USE, "x = 2") != before
    assert hashed(root, "x = 1", USE) != before
    assert hashed(root, USE, "s = '# no comment'") != hashed(root, USE, "s = '# another'")
    assert hashed(root, "%time x = 1") != hashed(root, "%time x = 2")


def test_torch_is_seen_through_the_modules(root):
    def page(source):
        cell = nbformat.v4.new_code_cell(source)
        return nbformat.v4.new_notebook(cells=[cell])

    assert uses_torch(page("from m6rec_lite.models import Bigram"), root)
    assert uses_torch(page("%time 1\nimport torch.nn as nn"), root)
    assert not uses_torch(page("from m6rec_lite.models import EASE"), root)
