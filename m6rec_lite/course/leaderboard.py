"""The leaderboard: one row for each model, variant and seed, written by code.

Rows are stored in ``<folder>/leaderboard/<dataset>.csv``. The environment variable ``M6REC_RUN``
names the folder of a run; a notebook opened in Jupyter writes to ``runs/notebook``. A row replaces
the one with the same data set, scale, split, model, variant and seed, so that a lesson can be
run again::

    board = course.Leaderboard()
    board.add(report, scale=SCALE, seed=SEED)   # a Report of m6rec_lite.evaluation
    board.show("bazaar", scale=SCALE)
    course.show(course.plot_leaderboard(board.latest("bazaar", scale=SCALE)), alt="…")
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from m6rec_lite.course.paths import project_root
from m6rec_lite.data.result_files import read_rows, upsert_rows
from m6rec_lite.evaluation.rank_files import write_ranks

if TYPE_CHECKING:
    from m6rec_lite.evaluation import Report

#: A new row replaces the one with the same values in these columns.
KEY: tuple[str, ...] = ("dataset", "scale", "split_hash", "model", "variant", "seed")

#: Cost columns: parameters, seconds, memory in MiB.
COSTS: tuple[str, ...] = ("n_params", "fit_seconds", "predict_seconds", "peak_mib")

#: Columns read as text even if their values look like numbers.
TEXT_COLUMNS: tuple[str, ...] = ("dataset", "scale", "split_hash", "model", "variant", "command")

#: Name of the model that knows the true probabilities of a simulated data set.
ORACLE = "Oracle"

#: Remedy in the error message for a damaged file.
REMEDY = (
    "take out the damaged line, or restore the file from a copy (git checkout, if it is "
    "tracked); or remove it and run again what filled it"
)

RUN_VARIABLE = "M6REC_RUN"
COMMAND_VARIABLE = "M6REC_COMMAND"


def run_folder() -> Path:
    """Return the output folder of this run: ``M6REC_RUN``, else ``runs/notebook``."""
    named = os.environ.get(RUN_VARIABLE)
    return Path(named) if named else project_root() / "runs" / "notebook"


class Leaderboard:
    """Results of evaluated models, stored as one CSV file for each data set.

    Args:
        folder: folder of the files. If None, the ``leaderboard`` folder of the run is used, and
            the target ranks of added reports are saved in its folder ``ranks/``.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else run_folder() / "leaderboard"
        self._save_ranks = folder is None

    def path(self, dataset: str) -> Path:
        """Return the file of one data set."""
        return self.folder / f"{dataset.replace('/', '-')}.csv"

    def ranks_path(self, row: Mapping[str, Any]) -> Path:
        """Return the path of a row's target ranks; the file exists if a run saved them."""
        key = "\0".join(str(row[name]) for name in KEY)
        return self.folder / "ranks" / f"{hashlib.sha256(key.encode()).hexdigest()[:8]}.npz"

    def add(self, row: Mapping[str, Any] | Report, **more: Any) -> None:
        """Add one row at the end, replacing the row with the same key.

        Args:
            row: an evaluation ``Report``, or a mapping with at least the columns ``KEY``. Metrics
                such as ``ndcg@10`` come with ``ndcg@10_low`` and ``ndcg@10_high``.
            more: further columns, usually ``scale=`` and ``seed=``; they override those of
                ``row``. ``command`` defaults to the command of the run.

        Raises:
            ValueError: if a column of the key is missing.
            DataError: if the existing file is damaged; it is not changed.
            TimeoutError: if another process holds the lock of the file for minutes.
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
        if self._save_ranks and not isinstance(row, Mapping) and row.ranks is not None:
            write_ranks(self.ranks_path(cells), row)
        upsert_rows(
            path, [cells], KEY, text_columns=TEXT_COLUMNS, order=_ordered, digits=12, remedy=REMEDY
        )

    def frame(self, dataset: str | None = None, *, scale: str | None = None) -> pd.DataFrame:
        """Return all rows, oldest first, optionally of one data set or scale.

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
        """Return comparable rows: those with the scale and split of the newest row."""
        rows = self.frame(dataset, scale=scale)
        if not len(rows):
            return rows
        newest = rows.iloc[-1]
        same = (rows["scale"] == newest["scale"]) & (rows["split_hash"] == newest["split_hash"])
        return rows[same].reset_index(drop=True)

    def show(
        self, dataset: str, *, scale: str | None = None, metric: str = "ndcg@10"
    ) -> pd.DataFrame:
        """Return ``latest`` as a ranked table: best first, with parameters and seconds."""
        rows = self.latest(dataset, scale=scale)
        if not len(rows):
            return rows
        check_metric(rows, metric)
        rows = rows.sort_values(metric, ascending=False, kind="stable").reset_index(drop=True)
        seed = [] if (rows["seed"] == rows["seed"].iloc[0]).all() else ["seed"]
        columns = ["model", "variant", *seed, "hr@10", "ndcg@10", metric, "n_params", "fit_seconds"]
        table = rows[[name for name in dict.fromkeys(columns) if name in rows]]
        decimals = {str(name): 4 for name in table if "@" in str(name)} | {"fit_seconds": 2}
        table = table.round({name: n for name, n in decimals.items() if name in table})
        table.index = pd.RangeIndex(1, len(table) + 1, name="rank")
        return table.fillna({"variant": ""})


def check_metric(rows: pd.DataFrame, metric: str) -> None:
    """Raise ``ValueError`` if the rows lack a metric."""
    if metric not in rows:
        metrics = [n for n in rows.columns if "@" in n and not n.endswith(("_low", "_high"))]
        raise ValueError(f"no metric {metric!r} on this leaderboard; it has {', '.join(metrics)}")


def _read(path: Path) -> pd.DataFrame:
    """Return the rows of a file; an empty table if there is no file."""
    if not path.exists():
        return pd.DataFrame()
    return read_rows(path, KEY, text_columns=TEXT_COLUMNS, remedy=REMEDY)


def _ordered(columns: pd.Index) -> list[str]:
    """Return columns in the order key, costs, metrics, command."""
    head = [name for name in (*KEY, *COSTS) if name in columns]
    tail = ["command"] if "command" in columns else []
    return head + [name for name in columns if name not in {*head, *tail}] + tail
