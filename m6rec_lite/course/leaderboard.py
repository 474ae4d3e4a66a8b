"""The leaderboard: one row a model, variant and seed; written by code, never by hand.

Rows live in ``<folder>/leaderboard/<dataset>.csv``. The folder is the run's: the runner names it
in the environment variable ``M6REC_RUN``; a chapter opened in Jupyter writes to
``runs/notebook``. Both are ignored by git. A row replaces the one of the same data set, scale,
split, model, variant and seed, so that a chapter can be run again::

    board = course.Leaderboard()
    board.add(report, scale=SCALE, seed=SEED)   # a Report of m6rec_lite.evaluation
    board.show("bazaar", scale=SCALE)
    course.show(course.ladder(board.latest("bazaar", scale=SCALE)), alt="…")
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from m6rec_lite.course.files import read_rows, upsert_rows
from m6rec_lite.course.paths import project_root
from m6rec_lite.evaluation.rank_files import write_ranks

#: A new row replaces the one that agrees in all of these.
KEY: tuple[str, ...] = ("dataset", "scale", "split_hash", "model", "variant", "seed")

#: What it cost: parameters, seconds, memory in MiB.
COSTS: tuple[str, ...] = ("n_params", "fit_seconds", "predict_seconds", "peak_mib")

#: Columns that are text, also where they look like numbers.
WORDS: tuple[str, ...] = ("dataset", "scale", "split_hash", "model", "variant", "command")

#: The name of the model that knows the truth of a simulated world.
ORACLE = "Oracle"

#: What to do about a damaged file.
REMEDY = (
    "take out the damaged line, or restore the file from a copy (git checkout, if it is "
    "tracked); or remove it and run again what filled it"
)

RUN_VARIABLE = "M6REC_RUN"
COMMAND_VARIABLE = "M6REC_COMMAND"


def run_folder() -> Path:
    """Where this run writes: ``M6REC_RUN``, else ``runs/notebook`` of the project."""
    named = os.environ.get(RUN_VARIABLE)
    return Path(named) if named else project_root() / "runs" / "notebook"


class Leaderboard:
    """Rows of measured models, kept as one CSV file a data set.

    Args:
        folder: where the files live; the run's ``leaderboard`` folder when left out, and then the
            target ranks of added reports are kept in ``ranks/`` beside the rows.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else run_folder() / "leaderboard"
        self._keeps_ranks = folder is None

    def path(self, dataset: str) -> Path:
        """The file of one data set."""
        return self.folder / f"{dataset.replace('/', '-')}.csv"

    def ranks_path(self, row: Mapping[str, Any]) -> Path:
        """Return the file of a row's target ranks; it is there where a run kept them."""
        key = "\0".join(str(row[name]) for name in KEY)
        return self.folder / "ranks" / f"{hashlib.sha256(key.encode()).hexdigest()[:8]}.npz"

    def add(self, row: Mapping[str, Any] | Any, **more: Any) -> None:
        """Add one row, replacing the row with the same key; the newest row comes last.

        Args:
            row: an evaluation ``Report``, or a mapping that holds at least ``KEY``; metrics such
                as ``ndcg@10`` come with ``ndcg@10_low`` and ``ndcg@10_high``.
            more: columns that the report does not know, usually ``scale=`` and ``seed=``; they
                win over the row's own. ``command`` is filled in from the run.

        Raises:
            ValueError: if a column of the key is missing.
            DataError: if the file that is there is damaged; it stays as it is.
            TimeoutError: if another process holds the file for minutes.
        """
        cells = dict(row if isinstance(row, Mapping) else row.to_row())
        cells |= more
        cells.setdefault("variant", "")
        missing = [name for name in KEY if cells.get(name) is None]
        if missing:
            raise ValueError(
                f"a leaderboard row needs {', '.join(KEY)}; this one lacks {', '.join(missing)}. "
                "Pass what is missing, as in board.add(report, scale=SCALE, seed=SEED)"
            )
        for name, cell in cells.items():
            if isinstance(cell, str):  # a CSV reader ends a line at a bare carriage return, too
                cells[name] = cell.replace("\r\n", "\n").replace("\r", "\n")
        cells["command"] = cells.get("command") or os.environ.get(COMMAND_VARIABLE, "a notebook")
        cells |= {name: str(cells[name]) for name in KEY if name != "seed"}
        cells["seed"] = int(cells["seed"])
        path = self.path(cells["dataset"])
        if self._keeps_ranks and getattr(row, "ranks", None) is not None:
            write_ranks(self.ranks_path(cells), row)
        upsert_rows(path, [cells], KEY, words=WORDS, order=_ordered, digits=12, remedy=REMEDY)

    def frame(self, dataset: str | None = None, *, scale: str | None = None) -> pd.DataFrame:
        """All rows, oldest first; of one data set or scale only where named.

        Raises:
            DataError: if a file is damaged.
        """
        paths = sorted(self.folder.glob("*.csv")) if dataset is None else [self.path(dataset)]
        frames = [frame for frame in map(_read, paths) if len(frame)]
        if not frames:
            return pd.DataFrame(columns=[*KEY, *COSTS])
        rows = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        if scale is not None:
            rows = rows[rows["scale"] == scale]
        return rows[_ordered(rows.columns)].reset_index(drop=True)

    def latest(self, dataset: str, *, scale: str | None = None) -> pd.DataFrame:
        """Rows that may be compared: of the data set, scale and split of the newest row."""
        rows = self.frame(dataset, scale=scale)
        if not len(rows):
            return rows
        newest = rows.iloc[-1]
        same = (rows["scale"] == newest["scale"]) & (rows["split_hash"] == newest["split_hash"])
        return rows[same].reset_index(drop=True)

    def show(
        self, dataset: str, *, scale: str | None = None, metric: str = "ndcg@10"
    ) -> pd.DataFrame:
        """``latest`` as a table that fits a page: best first, with rank, parameters and seconds."""
        rows = self.latest(dataset, scale=scale)
        if not len(rows):
            return rows
        _need(rows, metric)
        rows = rows.sort_values(metric, ascending=False, kind="stable").reset_index(drop=True)
        seed = [] if (rows["seed"] == rows["seed"].iloc[0]).all() else ["seed"]
        wanted = ["model", "variant", *seed, "hr@10", "ndcg@10", metric, "n_params", "fit_seconds"]
        table = rows[[name for name in dict.fromkeys(wanted) if name in rows]]
        places = {name: 4 for name in table if "@" in name} | {"fit_seconds": 2}
        table = table.round({name: n for name, n in places.items() if name in table})
        table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
        return table.fillna({"variant": ""})


def _need(rows: pd.DataFrame, metric: str) -> None:
    """Raise if the rows do not hold a metric, naming those they do."""
    if metric not in rows:
        known = [n for n in rows.columns if "@" in n and not n.endswith(("_low", "_high"))]
        raise ValueError(f"no metric {metric!r} on this leaderboard; it has {', '.join(known)}")


def _read(path: Path) -> pd.DataFrame:
    """The rows of a file; none where there is no file."""
    if not path.exists():
        return pd.DataFrame()
    return read_rows(path, KEY, words=WORDS, remedy=REMEDY)


def _ordered(columns: pd.Index) -> list[str]:
    """Key first, then costs, then metrics as they came, and the command last."""
    head = [name for name in (*KEY, *COSTS) if name in columns]
    tail = ["command"] if "command" in columns else []
    return head + [name for name in columns if name not in {*head, *tail}] + tail
