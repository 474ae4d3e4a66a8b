"""The packages and their imports, read from the source, for ``docs/architecture.md``."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from experiments.pages.regions import fill
from m6rec_lite.data.files import new_file, png_bytes
from m6rec_lite.evaluation.report import markdown_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Path("docs") / "architecture.md"
PICTURE = Path("docs") / "packages.png"
PACKAGE = "m6rec_lite"


def imports_of_packages(root: Path) -> dict[str, set[str]]:
    """Return the packages that each package of ``m6rec_lite`` imports, itself left out."""
    folders = sorted(path.parent for path in (root / PACKAGE).glob("*/__init__.py"))
    names = {folder.name for folder in folders}
    graph = {}
    for folder in folders:
        used = {name for path in folder.rglob("*.py") for name in _imported(path)}
        graph[folder.name] = (used & names) - {folder.name}
    return graph


def _imported(path: Path) -> set[str]:
    """Packages of ``m6rec_lite`` that a file imports."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            parts = (node.module or "").split(".")
            packages |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            parts_of = (alias.name.split(".") for alias in node.names)
            packages |= {parts[1] for parts in parts_of if parts[0] == PACKAGE and len(parts) > 1}
    return packages


def layers(graph: dict[str, set[str]]) -> dict[str, int]:
    """Return the layer of each package: one above the highest that it imports, 0 at the bottom.

    Raises:
        graphlib.CycleError: if packages import each other in a circle.
    """
    TopologicalSorter(graph).prepare()

    @cache
    def layer(name: str) -> int:
        return 1 + max((layer(other) for other in graph[name]), default=-1)

    return {name: layer(name) for name in graph}


def lines_of_packages(root: Path) -> dict[str, int]:
    """Return the physical lines of Python in each package."""
    return {
        folder.parent.name: sum(
            len(path.read_text(encoding="utf-8").splitlines())
            for path in folder.parent.rglob("*.py")
        )
        for folder in sorted((root / PACKAGE).glob("*/__init__.py"))
    }


def picture(graph: dict[str, set[str]]) -> Figure:
    """Draw the packages by layer; an arrow leads from a package to one that it imports.

    An arrow is left out where a longer way of arrows leads to the same package.
    """
    import matplotlib.pyplot as plt

    level = layers(graph)
    rows: dict[int, list[str]] = {}
    for name in sorted(level):
        rows.setdefault(level[name], []).append(name)
    positions = {
        name: ((i + 1) / (len(names) + 1), height)
        for height, names in rows.items()
        for i, name in enumerate(names)
    }
    fig, ax = plt.subplots(figsize=(7.4, 0.8 * len(rows) + 0.6))
    for name, others in graph.items():
        direct = {
            other for other in others if not any(other in _reach(graph, mid) for mid in others)
        }
        for other in direct:
            ax.annotate(
                "", xy=positions[other], xytext=positions[name],
                arrowprops={"arrowstyle": "-|>", "color": "#767676", "shrinkA": 14, "shrinkB": 14},
            )  # fmt: skip
    for name, (x, y) in positions.items():
        box = {"boxstyle": "round,pad=0.4", "fc": "#E3EDF5", "ec": "#0072B2"}
        ax.text(x, y, name, ha="center", va="center", bbox=box)
    ax.set(xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4))
    ax.axis("off")
    return fig


def _reach(graph: dict[str, set[str]], name: str) -> set[str]:
    """Return what a package imports, directly or through others."""
    reached: set[str] = set()
    waiting = list(graph[name])
    while waiting:
        other = waiting.pop()
        if other not in reached:
            reached.add(other)
            waiting += graph[other]
    return reached


def write_architecture(root: Path) -> None:
    """Write the picture, and the table of packages into the page."""
    graph, lines = imports_of_packages(root), lines_of_packages(root)
    level = layers(graph)
    rows = pd.DataFrame(
        {
            "package": f"`{name}/`",
            "imports": ", ".join(sorted(graph[name], key=lambda other: (level[other], other))),
            "lines": lines[name],
        }
        for name in sorted(graph, key=lambda name: (-level[name], name))
    )
    with new_file(root / PICTURE) as file:
        file.write(png_bytes(picture(graph)))
    fill(root / PAGE, "packages", markdown_table(rows))
