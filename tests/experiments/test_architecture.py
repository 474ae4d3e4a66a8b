"""The picture of the packages follows the imports."""

from __future__ import annotations

from graphlib import CycleError
from pathlib import Path

import matplotlib as mpl
import pytest

from experiments.pages.architecture import imports_of_packages, layers, picture
from experiments.pages.regions import region
from m6rec_lite.course.paths import project_root

mpl.use("agg")


def test_the_page_lists_the_imports_of_today() -> None:
    root = project_root()
    rows = region(root / "docs" / "architecture.md", "packages").splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows if row]
    listed = {row[0].strip("`/"): {name for name in row[1].split(", ") if name} for row in cells}
    assert listed == imports_of_packages(root)


def test_layers_are_counted_from_the_bottom(tmp_path: Path) -> None:
    sources = {
        "low": "import numpy",
        "mid": "from m6rec_lite.low.file import name",
        "top": "from m6rec_lite import mid\nimport m6rec_lite.low",
    }
    for name, source in sources.items():
        folder = tmp_path / "m6rec_lite" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "file.py").write_text(source)
    graph = imports_of_packages(tmp_path)
    assert graph == {"low": set(), "mid": {"low"}, "top": {"low", "mid"}}
    assert layers(graph) == {"low": 0, "mid": 1, "top": 2}
    arrows = [text for text in picture(graph).axes[0].texts if text.get_text() == ""]
    assert len(arrows) == 2  # top to low is reached by way of mid
    with pytest.raises(CycleError):
        layers({"a": {"b"}, "b": {"a"}})
