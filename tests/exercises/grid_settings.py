"""Right answers to ``grid_settings``, written in other ways."""

from __future__ import annotations

from typing import Any

from m6rec_lite.course.exercises.grid_settings import Answer, Grid, Settings, _grid_settings


def _by_loops(defaults: Settings, grid: Grid) -> Answer:
    rows: list[dict[str, Any]] = [dict(defaults)]
    unknown = []
    for name, values in grid.items():
        if name in defaults:
            rows = [{**row, name: value} for row in rows for value in values]
        else:
            unknown.append(name)
    return rows, sorted(unknown)


def _by_recursion(defaults: Settings, grid: Grid) -> Answer:
    if not grid:
        return [dict(defaults)], []
    name, *others = grid
    rest = {other: grid[other] for other in others}
    if name not in defaults:
        rows, unknown = _by_recursion(defaults, rest)
        return rows, sorted([name, *unknown])
    rows = [r for v in grid[name] for r in _by_recursion({**defaults, name: v}, rest)[0]]
    return rows, _by_recursion(defaults, rest)[1]


CORRECT = (_grid_settings, _by_loops, _by_recursion)

EQUIVALENT: dict[str, str] = {}
