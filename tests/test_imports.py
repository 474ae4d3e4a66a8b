"""Imports of the package run downward and in no circle, those inside functions included."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "m6rec_lite"
#: From the lowest layer to the highest.
LAYERS = (
    "data", "nn", "evaluation", "audit", "training", "language", "recommenders", "ctr", "m6rec",
    "feedback", "multimodal", "trust", "serving", "course",
)  # fmt: skip
FILES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= names & FILES.keys()
            modules |= {node.module} if names - FILES.keys() else set()
    return modules & FILES.keys()


GRAPH = {module: imported(path) for module, path in FILES.items()}


def test_no_module_imports_itself_by_way_of_others():
    TopologicalSorter(GRAPH).prepare()  # CycleError names the modules of a circle


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_run_downward(layer):
    below = LAYERS[: LAYERS.index(layer) + 1]
    upward = [
        f"{module} imports {other}"
        for module, others in GRAPH.items()
        for other in sorted(others)
        if module.split(".")[1:2] == [layer] and not {*other.split(".")[1:2]} <= {*below}
    ]
    assert upward == []


def test_every_package_has_a_layer():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(LAYERS)
