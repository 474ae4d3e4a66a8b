"""Right answers to ``find_bottleneck``, written in other ways."""

from __future__ import annotations

from collections.abc import Sequence

from m6rec_lite.course.exercises.find_bottleneck import Row, _largest


def _bottleneck(rows: Sequence[tuple]) -> str:
    """The right answer."""
    return _largest(rows, lambda row: row.own - row.hidden)


def _bottleneck_by_table(rows: Sequence[tuple]) -> str:
    import pandas as pd

    table = pd.DataFrame(rows, columns=Row._fields)
    return (table["own"] - table["hidden"]).groupby(table["kind"]).sum().idxmax()


CORRECT = (_bottleneck, _bottleneck_by_table)

EQUIVALENT = {
    "waits[kind] = waits.get(kind, 1.0) + own - hidden": (
        "every kind waits 1 longer, so the longest stays"
    ),
    "waits[kind] = waits.get(kind, -1.0) + own - hidden": (
        "every kind waits 1 less, so the longest stays"
    ),
}
