"""Exercise ``find_bottleneck``: find the bottleneck in three profiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from m6rec_lite.course.exercises.engine import Case, Exercise, KnownWrong


class Row(NamedTuple):
    """An operation of a step, in milliseconds."""

    name: str
    kind: str
    calls: int
    total: float  # with all that it calls
    own: float  # without
    hidden: float  # of its own, while the device computed something else


def _rows(*rows: tuple) -> list[tuple]:
    return [tuple(Row(*row)) for row in rows]


#: A processor that builds batches while the device waits.
WAITS = _rows(
    ("training step", "products", 1, 38.0, 1.0, 0.0),
    ("read a batch", "data", 1, 62.0, 4.0, 0.0),
    ("tokenize", "data", 64, 58.0, 58.0, 0.0),
    ("matrix product", "products", 96, 26.0, 26.0, 0.0),
    ("layer norm", "small kernels", 400, 7.0, 7.0, 0.0),
    ("send gradients", "gradients", 8, 4.0, 4.0, 4.0),
)

#: Many operations that move memory and compute little, none of them long.
SCATTERED = _rows(
    ("training step", "products", 1, 80.0, 1.0, 0.0),
    ("matrix product", "products", 96, 22.0, 22.0, 0.0),
    ("read a batch", "data", 1, 40.0, 40.0, 38.0),
    ("layer norm", "small kernels", 400, 13.0, 13.0, 0.0),
    ("gelu", "small kernels", 200, 12.0, 12.0, 0.0),
    ("add", "small kernels", 800, 11.0, 11.0, 0.0),
    ("copy", "small kernels", 900, 15.0, 15.0, 0.0),
    ("send gradients", "gradients", 8, 6.0, 6.0, 4.0),
)

#: Gradients over a slow wire; batches are read meanwhile.
WIRE = _rows(
    ("training step", "products", 1, 143.0, 1.0, 0.0),
    ("matrix product", "products", 960, 42.0, 42.0, 0.0),
    ("read a batch", "data", 1, 95.0, 95.0, 95.0),
    ("layer norm", "small kernels", 400, 8.0, 8.0, 0.0),
    ("send gradients", "gradients", 8, 92.0, 92.0, 34.0),
)
#: A large model on a fast wire: what is left is what the device is for.
LARGE = _rows(
    ("training step", "products", 1, 121.0, 1.0, 0.0),
    ("matrix product", "products", 96, 90.0, 90.0, 0.0),
    ("read a batch", "data", 1, 60.0, 60.0, 58.0),
    ("layer norm", "small kernels", 400, 5.0, 5.0, 0.0),
    ("gelu", "small kernels", 200, 4.0, 4.0, 0.0),
    ("add", "small kernels", 800, 3.0, 3.0, 0.0),
    ("send gradients", "gradients", 8, 18.0, 18.0, 12.0),
)
#: The kernels are many and short, the other kinds one long operation each; reading is nested.
NESTED = _rows(
    ("training step", "products", 1, 110.0, 1.0, 0.0),
    ("matrix product", "products", 96, 37.0, 37.0, 0.0),
    ("read a batch", "data", 1, 34.0, 4.0, 0.0),
    ("tokenize", "data", 64, 30.0, 30.0, 0.0),
    ("layer norm", "small kernels", 4, 14.0, 14.0, 0.0),
    ("gelu", "small kernels", 2, 14.0, 14.0, 0.0),
    ("add", "small kernels", 8, 14.0, 14.0, 0.0),
    ("copy", "small kernels", 9, 14.0, 14.0, 0.0),
    ("send gradients", "gradients", 8, 16.0, 16.0, 8.0),
)
PROFILES = {"A": WAITS, "B": SCATTERED, "C": WIRE}


def _mean_of_kind(rows: Sequence[tuple]) -> str:
    waits: dict[str, list[float]] = {}
    for row in map(Row._make, rows):
        waits.setdefault(row.kind, []).append(row.own - row.hidden)
    return max(waits, key=lambda kind: sum(waits[kind]) / len(waits[kind]))


def _largest(rows: Sequence[tuple], value: Callable[[Row], float]) -> str:
    """The kind with the largest sum."""
    sums: dict[str, float] = {}
    for row in map(Row._make, rows):
        sums[row.kind] = sums.get(row.kind, 0.0) + value(row)
    return max(sums, key=sums.__getitem__)


EXERCISE = Exercise(
    id="find_bottleneck",
    title="Find the bottleneck in three profiles",
    data={"profiles": PROFILES, "columns": Row._fields},
    cases=(
        Case((WAITS,), "data", note="profile A"),
        Case((SCATTERED,), "small kernels", note="profile B"),
        Case((WIRE,), "gradients", note="profile C"),
        Case((LARGE,), "products", note="a profile that the text does not show"),
        Case((NESTED,), "small kernels", note="another"),
    ),
    known_wrong=(
        KnownWrong(
            lambda rows: _largest(rows, lambda row: row.calls),
            "The kind with most *calls* is named. A thousand calls can cost less than one.",
        ),
        KnownWrong(
            lambda rows: _largest(rows, lambda row: row.total),
            "`total` holds what an operation calls, so the same millisecond is counted with each "
            "caller. Add up `own`.",
        ),
        KnownWrong(
            lambda rows: _largest(rows, lambda row: row.own),
            "Time that is hidden behind other work delays nobody: take `hidden` off.",
        ),
        KnownWrong(
            lambda rows: max(map(Row._make, rows), key=lambda row: row.own - row.hidden).kind,
            "The longest *operation* is named. Many short ones of a kind can be more together: "
            "add up by kind.",
        ),
        KnownWrong(
            _mean_of_kind,
            "That is the mean of each kind's operations. Many short ones cost what they add up "
            "to: take the sum.",
        ),
        KnownWrong(
            lambda rows: _largest(
                [row for row in rows if row[1] != "products"], lambda r: r.own - r.hidden
            ),
            "Products are left out. They are useful work, and the step waits for them all the "
            "same: in a profile without fault they are what takes longest.",
        ),
        KnownWrong(
            lambda rows: _largest(rows[1:], lambda row: row.total - row.hidden),
            "Without the first row `total` still counts twice: reading a batch holds the "
            "tokenizing. Add up `own`.",
        ),
    ),
    hints=(
        "What would make the step shorter if it took no time? Not what is hidden.",
        "own - hidden, summed by kind.",
        "A dict of sums, and max(sums, key=sums.get).",
    ),
    notice="A: more workers, or tokens written once to a file. B: a compiled graph, larger "
    "batches. C: fewer bytes, a faster wire, or fewer devices. Buying a faster card mends none.",
)
