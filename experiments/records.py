"""Runs kept for the record: one folder a run under ``results/runs``, and their index.

``results/runs/<id>/`` holds ``config.json`` (what was run), ``report.json`` (what came out),
``metrics.jsonl`` (one line an epoch or step) where something was trained, and ``ranks.npz`` (the
rank of each test target) where items were ranked. The id is eight hex digits of a hash over the
fields of ``RunKey``. ``results/runs.csv`` has one row a run; it is derived from the folders and is
never edited by hand.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import platform
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.course.files import locked, read_json
from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation import Report
from m6rec_lite.evaluation.rank_files import write_ranks

CONFIG, REPORT, METRICS, RANKS = "config.json", "report.json", "metrics.jsonl", "ranks.npz"

#: Figures that have a column of their own in the index; others stand in the column ``headline``.
RANKING_FIGURES = ("hr@10", "ndcg@10")


@dataclass(frozen=True)
class RunKey:
    """What makes a run the run it is: two runs with equal keys are the same measurement.

    Attributes:
        experiment: name of the module in ``experiments``.
        dataset: name of the data set.
        model: name of the model or method.
        variant: its non-default settings, in words, such as ``epochs=5 lr=0.01``.
        seed: of the run.
    """

    experiment: str
    dataset: str
    model: str
    variant: str = ""
    seed: int = 0

    @property
    def id(self) -> str:
        """Return eight hex digits of the SHA-256 of the fields, as JSON."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


class Records:
    """The runs of one folder of results.

    Args:
        results: the folder that holds ``runs/`` and ``runs.csv``.
    """

    def __init__(self, results: Path) -> None:
        self.runs, self.index = results / "runs", results / "runs.csv"

    def folder(self, key: RunKey) -> Path:
        """Return the folder of a run, whether it exists or not."""
        return self.runs / key.id

    def stands(self, key: RunKey) -> bool:
        """Return whether a run is finished and recorded."""
        return (self.folder(key) / REPORT).is_file()

    def start(self, key: RunKey, *, command: str, **more: Any) -> Path:
        """Write ``config.json`` before the run begins.

        Args:
            key: of the run.
            command: that repeats it.
            more: further entries, such as ``settings`` (all of them) and ``split_hash``.

        Returns:
            The folder of the run.
        """
        import torch

        config = asdict(key) | more | {"command": command}
        config |= {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "processor": platform.machine(),
        }
        folder = self.folder(key)
        _write_json(folder / CONFIG, config)
        return folder

    def finish(
        self,
        key: RunKey,
        report: Mapping[str, Any],
        *,
        history: pd.DataFrame | None = None,
        ranks: Report | Path | None = None,
    ) -> None:
        """Write what came out, and the index.

        Args:
            key: of a run that was started.
            report: as JSON holds it; ``metrics`` (name to value) and ``headline`` (name to
                value or text) supply the figures of the index.
            history: one row an epoch or step.
            ranks: an evaluation whose target ranks are kept, or a file of them.
        """
        folder = self.folder(key)
        if history is not None:
            write_history(folder / METRICS, history)
        if isinstance(ranks, Path):
            shutil.copyfile(ranks, folder / RANKS)
        elif ranks is not None:
            write_ranks(folder / RANKS, ranks)
        _write_json(folder / REPORT, report)
        self.write_index()

    def frame(self) -> pd.DataFrame:
        """Return one row a finished run, from the folders."""
        rows = []
        for path in sorted(self.runs.glob(f"*/{REPORT}")):
            config, report = read_json(path.with_name(CONFIG)), read_json(path)
            metrics = report.get("metrics", {})
            key = RunKey(**{field.name: config[field.name] for field in fields(RunKey)})
            headline = (
                f"{name} {value}" if isinstance(value, str) else f"{name} {value:.4g}"
                for name, value in report.get("headline", {}).items()
            )
            rows.append(
                {"id": path.parent.name}
                | asdict(key)
                | {name: metrics.get(name, math.nan) for name in RANKING_FIGURES}
                | {"headline": "; ".join(headline)}
                | {"ranks": "kept" if path.with_name(RANKS).is_file() else "not kept"}
                | {"date": config.get("date", ""), "command": config["command"]}
            )
        frame = pd.DataFrame(rows)
        order = ["experiment", "dataset", "model", "variant", "seed"]
        return frame.sort_values(order, ignore_index=True) if rows else frame

    def write_index(self) -> pd.DataFrame:
        """Write ``runs.csv`` from the folders, and return its rows."""
        with locked(self.index):
            frame = self.frame()
            write_text(self.index, frame.to_csv(index=False, float_format="%.6g"))
        return frame

    def rekey(self) -> dict[str, str]:
        """Rename folders whose id is not that of their config, and write the index.

        To be used after a setting or an experiment was renamed in the ``config.json`` files.

        Returns:
            New id by old id.
        """
        renamed = {}
        for path in sorted(self.runs.glob(f"*/{CONFIG}")):
            config = read_json(path)
            key = RunKey(**{field.name: config[field.name] for field in fields(RunKey)})
            if path.parent.name != key.id:
                path.parent.rename(self.folder(key))
                renamed[path.parent.name] = key.id
        self.write_index()
        return renamed


def summary(report: Report) -> dict[str, Any]:
    """Return an evaluation as ``report.json`` holds it: figures, intervals and costs."""
    return {
        "on": report.on,
        "split_hash": report.split_hash,
        "n_users": report.n_users,
        "metrics": {key: round(value, 6) for key, value in report.metrics.items()},
        "intervals": {key: [round(v, 6) for v in both] for key, both in report.intervals.items()},
        "costs": {key: round(float(value), 3) for key, value in report.costs.items()},
    }


def write_history(path: Path, history: pd.DataFrame) -> None:
    """Write one JSON object a row; missing values are left out."""
    lines = (
        {name: value for name, value in row.items() if not pd.isna(value)}
        for row in history.to_dict("records")
    )
    write_text(path, "".join(json.dumps(_plain(line)) + "\n" for line in lines))


def read_history(path: Path) -> pd.DataFrame:
    """Return the rows that ``write_history`` wrote."""
    return pd.read_json(path, lines=True)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_text(path, json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n")


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: not finite becomes null, another object its repr."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else repr(value)
