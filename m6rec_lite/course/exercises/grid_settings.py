"""Exercise ``grid_settings``: a grid with a key that the model does not have."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong

Settings = dict[str, Any]
Grid = Mapping[str, Sequence[Any]]
Answer = tuple[list[Settings], list[str]]


def _product(defaults: Settings, grid: Grid) -> list[Settings]:
    return [
        dict(defaults, **dict(zip(grid, values, strict=True)))
        for values in itertools.product(*grid.values())
    ]


def _grid_settings(defaults: Settings, grid: Grid) -> Answer:
    """The right answer."""
    known = {name: values for name, values in grid.items() if name in defaults}
    return _product(defaults, known), sorted(set(grid) - set(defaults))


def _found(wrong: Callable[[Settings, Grid], list[Settings]]) -> Callable[..., Answer]:
    """The wrong settings, with the right names."""
    return lambda defaults, grid: (
        wrong(defaults, {k: v for k, v in grid.items() if k in defaults}),
        sorted(set(grid) - set(defaults)),
    )


def _one_by_one(defaults: Settings, grid: Grid) -> list[Settings]:
    return [dict(defaults, **{name: value}) for name, values in grid.items() for value in values]


def _paired(defaults: Settings, grid: Grid) -> list[Settings]:
    rows = zip(*grid.values(), strict=False)
    return [dict(defaults, **dict(zip(grid, values, strict=True))) for values in rows]


def _without_defaults(defaults: Settings, grid: Grid) -> list[Settings]:
    rows = itertools.product(*grid.values())
    return [dict(zip(grid, values, strict=True)) for values in rows]


def _shared(defaults: Settings, grid: Grid) -> list[Settings]:
    """Every entry is one dictionary, that of the last combination."""
    settings = dict(defaults)
    rows = []
    for values in itertools.product(*grid.values()):
        settings.update(zip(grid, values, strict=True))
        rows.append(settings)
    return rows


def _defaults_win(defaults: Settings, grid: Grid) -> list[Settings]:
    return [row | defaults for row in _without_defaults(defaults, grid)]


def _cases() -> tuple[Case, ...]:
    knn = {"k": 100, "shrink": 0.0, "decay": 1.0}
    rows: tuple[tuple[Any, ...], ...] = (
        (knn, {"k": [20, 50], "decay": [0.5, 0.7, 0.9]}, "two settings"),
        (knn, {"k": [20, 50], "neighbors": [5, 10, 20]}, "a name of another library"),
        (knn, {"decay": [0.7]}, "one value"),
        (knn, {"K": [20, 50], "Decay": [0.7, 0.9]}, "wrong capitals: nothing is tuned"),
        ({"lr": 0.1}, {"lr": [0.1, 0.3], "epochs": [1], "batch": [8, 16]}, "two unknown names"),
        (knn, {}, "an empty grid"),
    )
    return tuple(Case((*row,), _grid_settings(*row), note=note) for *row, note in rows)


EXERCISE = Exercise(
    id="grid_settings",
    title="A grid with a key that the model does not have",
    cases=_cases,
    known_wrong=(
        KnownWrong(
            lambda defaults, grid: (_product(defaults, grid), []),
            "That is the fault to hunt: the unknown key becomes a setting, and its values are "
            "trained again and again without an effect. Report it and leave it out.",
        ),
        KnownWrong(
            lambda defaults, grid: (_product(defaults, grid), sorted(set(grid) - set(defaults))),
            "The unknown name is reported, but its values still multiply the trials.",
        ),
        KnownWrong(
            lambda defaults, grid: (_grid_settings(defaults, grid)[0], []),
            "The unknown key is dropped in silence: whoever misspelt it believes it was tuned.",
        ),
        KnownWrong(
            lambda defaults, grid: ([], _grid_settings(defaults, grid)[1]),
            "The settings of the known names are missing.",
        ),
        KnownWrong(
            _found(_one_by_one),
            "One setting is changed at a time. A grid combines every value with every other.",
        ),
        KnownWrong(
            _found(_paired),
            "The first values are paired, then the second, as zip does. A grid is a product.",
        ),
        KnownWrong(
            _found(_without_defaults),
            "The settings that the grid does not name are missing: start from the defaults.",
        ),
        KnownWrong(
            _found(_shared),
            "All entries are one dictionary, that of the last combination: make a new one each.",
        ),
        KnownWrong(
            _found(_defaults_win),
            "The defaults overwrite the values of the grid: merge the other way round.",
        ),
        KnownWrong(
            lambda defaults, grid: (
                _grid_settings(defaults, grid)[0],
                sorted(set(defaults) - set(grid)),
            ),
            "Those are the names that the grid leaves alone. Wanted: names of the grid that the "
            "model does not have.",
        ),
    ),
    hints=(
        "Divide the grid into names that are in defaults, and the others.",
        "itertools.product(*known.values()) gives the combinations, the last name fastest.",
        "{**defaults, **dict(zip(known, values))} for each; and sorted(set(grid) - set(defaults)).",
    ),
    notice="Libraries that accept any keyword hide this fault for months. The models of this "
    "course refuse unknown names in their constructor and in set_params.",
)
