"""CPU-seconds in which a model passes EASE's NDCG@10 on bazaar-large: the board's rows.

Rules and table are in ``docs/time-to-beat-ease.md``, the rows in ``time_to_beat_ease.toml`` beside
this file. From the project folder::

    python -m benchmarks.time_to_beat_ease "NAME OF A ROW"
    python -m benchmarks.time_to_beat_ease "NAME OF A ROW" --dataset bazaar   # to try it out
    python -m benchmarks.time_to_beat_ease --check --base OLD.toml  # rows that OLD.toml lacks
    python -m benchmarks.time_to_beat_ease --page                   # write the table

The model is built, fitted on the training rows of leave-one-out and evaluated on all test users;
then EASE is. The clock is the processor time of this process, all threads, and of child processes
that have ended. Imports and loading the data are not counted.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import math
import os
import platform
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.pages.regions import fill
from m6rec_lite.data import Split, leave_one_out, load_dataset
from m6rec_lite.evaluation import evaluate, paired_test
from m6rec_lite.recommenders import EASE

ROWS = Path(__file__).with_suffix(".toml")
PAGE = Path(__file__).resolve().parents[1] / "docs" / "time-to-beat-ease.md"

DATASET = "bazaar-large"
#: The line to beat: EASE in which a step back costs a fifth, with the default penalty.
LINE = partial(EASE, decay=0.8)
#: A row is not reproduced if it takes more than this many times its stated CPU-seconds.
SLOWER = 2.0


@dataclass(frozen=True)
class Measured:
    """Result of a run: NDCG@10, its paired 95 % bootstrap interval against EASE, CPU-seconds."""

    cpu_seconds: float
    ease_cpu_seconds: float
    ndcg: float
    difference: float
    low: float
    high: float
    processor: str

    @property
    def passes(self) -> bool:
        """Whether the model is above EASE: the interval of the difference lies above 0."""
        return self.low > 0


@dataclass(frozen=True)
class Row:
    """A row of the board; see the rules for the fields."""

    name: str
    by: str
    model: str
    tuning: str
    trained_on: str
    settings: dict[str, Any] = field(default_factory=dict)
    measured: Measured | None = None

    def maker(self) -> Callable[[], Any]:
        """Import the model, and return a function that builds it, not fitted.

        Raises:
            ValueError: if there is no such model, or it does not take the settings.
        """
        module, _, name = self.model.partition(":")
        try:
            make = getattr(importlib.import_module(module), name)
            inspect.signature(make).bind(**self.settings)
        except (ImportError, AttributeError, TypeError) as error:
            raise ValueError(f"row {self.name!r}: {self.model} cannot be built: {error}") from error
        return partial(make, **self.settings)


def read_rows(path: Path = ROWS) -> list[Row]:
    """Read and check rows.

    Raises:
        ValueError: if the file is no TOML or a row breaks a rule; the message names the row.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("row", [])
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name} is not valid TOML: {error}") from error
    rows = [_row(entry, f"{path.name}, row {i}") for i, entry in enumerate(entries, 1)]
    names = [row.name for row in rows]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{path.name} has two rows named {twice.pop()!r}; give one another name")
    return rows


def _row(entry: dict[str, Any], where: str) -> Row:
    """Return a row from a table of TOML."""
    try:
        measured = Measured(**entry["measured"]) if "measured" in entry else None
        row = Row(**entry | {"measured": measured})
    except TypeError as error:  # names the missing or unknown field
        fault = str(error).partition("__init__() ")[2]
        raise ValueError(f"{where}: {fault or error}; see the rules in {PAGE.name}") from error
    where = f"{where} ({row.name!r})"
    for name in ("name", "by", "model", "tuning", "trained_on"):
        if not isinstance(text := getattr(row, name), str) or not text.strip() or "|" in text:
            raise ValueError(f"{where}: {name} must be a text without '|'; got {text!r}")
    if not all(row.model.partition(":")):
        raise ValueError(
            f"{where}: model must be MODULE:NAME, such as m6rec_lite.recommenders:EASE"
        )
    if measured is None:
        return row
    numbers = [value for value in asdict(measured).values() if not isinstance(value, str)]
    if not all(isinstance(value, float | int) and math.isfinite(value) for value in numbers):
        raise ValueError(f"{where}: measured must have finite numbers; got {numbers}")
    if min(measured.cpu_seconds, measured.ease_cpu_seconds) <= 0:
        raise ValueError(f"{where}: CPU-seconds must be above 0")
    if not measured.passes:
        raise ValueError(f"{where}: not above EASE: the interval begins at {measured.low}")
    return row


def cpu_seconds() -> float:
    """Return the processor time so far: this process, all threads, and children that have ended."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _run(
    build: Callable[[], Any], split: Split, tables: dict[str, pd.DataFrame | None]
) -> tuple[np.ndarray, float]:
    """Return the NDCG@10 of each test user, and the CPU-seconds to build, fit and evaluate."""
    start = cpu_seconds()
    model = build()
    model.fit(split.train, validation=split.validation, progress=False, **tables)
    report = evaluate(model, split, k=10, bootstrap=0, progress=False)
    return report.per_user["ndcg@10"], cpu_seconds() - start


def measure(
    build: Callable[[], Any],
    split: Split,
    *,
    items: pd.DataFrame | None = None,
    users: pd.DataFrame | None = None,
) -> Measured:
    """Measure a model, and EASE after it, on the same questions.

    Args:
        build: returns a recommender that is not fitted; its time counts.
        split: training rows and questions.
        items: the items table, for models that read it.
        users: the users table, for models that read it.
    """
    tables = {"items": items, "users": users}
    ndcg, seconds = _run(build, split, tables)
    line, line_seconds = _run(LINE, split, tables)
    test = paired_test(ndcg, line, method="bootstrap")
    return Measured(
        cpu_seconds=round(seconds, 4),
        ease_cpu_seconds=round(line_seconds, 4),
        ndcg=round(float(ndcg.mean()), 4),
        difference=round(test.mean_difference, 4),
        low=round(test.low, 4),
        high=round(test.high, 4),
        processor=platform.machine(),
    )


def faults(row: Row, measured: Measured) -> list[str]:
    """Return what a new run finds against a row; empty if the row is reproduced."""
    found = []
    if not measured.passes:
        found.append(f"it is not above EASE: {measured.difference:+.4f} "
                     f"[{measured.low:+.4f}, {measured.high:+.4f}]")  # fmt: skip
    if row.measured is None:
        found.append("it has no measured values: copy the line `measured = …` into the file")
    elif measured.cpu_seconds > SLOWER * row.measured.cpu_seconds:
        found.append(f"it took {measured.cpu_seconds:.1f} CPU-seconds, more than {SLOWER:g} times "
                     f"the {row.measured.cpu_seconds:.1f} that it states")  # fmt: skip
    return [f"{row.name}: {fault}" for fault in found]


def table(rows: Sequence[Row]) -> str:
    """Return the board as Markdown: measured rows, fastest first, then the others."""
    lines = ["| model | CPU-seconds | times EASE's | NDCG@10 | less EASE's | tuning | by |",
             "|:---|---:|---:|---:|:---|:---|:---|"]  # fmt: skip
    measured = [(row.measured.cpu_seconds, row.measured, row) for row in rows if row.measured]
    for seconds, m, row in sorted(measured, key=lambda entry: entry[0]):
        lines.append(f"| {row.name} | {seconds:.1f} | {seconds / m.ease_cpu_seconds:.1f} | "
                     f"{m.ndcg:.4f} | {m.difference:+.4f} [{m.low:+.4f}, {m.high:+.4f}] | "
                     f"{row.tuning} | {row.by} |")  # fmt: skip
    text = "\n".join(lines) if measured else "No row has been measured yet."
    if waiting := [f"`{command(row)}`" for row in rows if not row.measured]:
        text += "\n\nNot measured yet: " + ", ".join(waiting) + "."
    return text


def command(row: Row) -> str:
    """Return the command that measures a row."""
    return f'python -m benchmarks.time_to_beat_ease "{row.name}"'


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure rows; of one row, the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows to measure")
    parser.add_argument("--dataset", default=DATASET)
    parser.add_argument("--rows", type=Path, default=ROWS, help="the file of rows")
    parser.add_argument("--check", action="store_true", help="measure all rows; 1 if one fails")
    parser.add_argument("--base", type=Path, help="with --check: skip rows that this file has")
    parser.add_argument("--page", action="store_true", help="write the table of the page")
    options = parser.parse_args(arguments)
    try:
        rows = read_rows(options.rows)
        known = read_rows(options.base) if options.base else []
        if unknown := set(options.names) - {row.name for row in rows}:
            raise ValueError(f"no row is named {unknown.pop()!r}; add it to {options.rows.name}")
        if options.page:
            fill(PAGE, "board", table(rows))
        chosen = [row for row in rows if row.name in options.names]
        if options.check:
            chosen = [row for row in rows if row not in known]
        found = _measure_rows(chosen, options.dataset) if chosen else []
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if options.check:
        print("\n".join(found) or f"{len(chosen)} new or changed rows are reproduced")
    return int(options.check and bool(found))


def _measure_rows(rows: Sequence[Row], dataset: str) -> list[str]:
    """Measure rows, print each result as JSON, and return their faults."""
    data = load_dataset(dataset)
    split, found = leave_one_out(data), []
    for row in rows:
        measured = measure(row.maker(), split, items=data.items, users=data.users)
        verdict = "above" if measured.passes else "not above"
        values = ", ".join(f"{key} = {json.dumps(v)}" for key, v in asdict(measured).items())
        print(f"{row.name} on {dataset}: {verdict} EASE\nmeasured = {{ {values} }}", flush=True)
        print(json.dumps(asdict(measured)), flush=True)
        found += faults(row, measured)
    return found


if __name__ == "__main__":
    sys.exit(main())
