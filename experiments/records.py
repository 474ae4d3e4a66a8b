"""Recorded runs: one folder for each run under ``results/runs``, and their index.

``results/runs/<id>/`` contains ``config.json`` (settings), ``report.json`` (results),
``metrics.jsonl`` (one line for each epoch or step) if a model was trained, and ``ranks.npz`` (the
rank of each test target) if items were ranked. The id is eight hex digits of a hash of ``RunKey``.
``results/runs.csv`` has one row for each run; it is generated from the folders.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import platform
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.data.files import write_text
from m6rec_lite.data.result_files import locked, read_json
from m6rec_lite.evaluation import Report
from m6rec_lite.evaluation.rank_files import write_ranks

CONFIG, REPORT, METRICS, RANKS = "config.json", "report.json", "metrics.jsonl", "ranks.npz"

#: Metrics with a column of their own in the index; others are in the column ``headline``.
RANKING_FIGURES = ("hr@10", "ndcg@10")


@dataclass(frozen=True)
class RunKey:
    """Identity of a run: two runs with equal keys are the same measurement.

    Attributes:
        experiment: name of the module in ``experiments``.
        dataset: name of the data set.
        model: name of the model or method.
        variant: its non-default settings as text, such as ``epochs=5 lr=0.01``.
        seed: seed of the run.
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
    """Recorded runs in a folder of results.

    Args:
        results: the folder that contains ``runs/`` and ``runs.csv``.
    """

    def __init__(self, results: Path) -> None:
        self.runs, self.index = results / "runs", results / "runs.csv"

    def folder(self, key: RunKey) -> Path:
        """Return the folder of a run; it need not exist."""
        return self.runs / key.id

    def is_recorded(self, key: RunKey) -> bool:
        """Return whether a run is finished and recorded."""
        return (self.folder(key) / REPORT).is_file()

    def start(self, key: RunKey, *, command: str, **more: Any) -> Path:
        """Write ``config.json`` before the run begins.

        Args:
            key: key of the run.
            command: command that repeats the run.
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
        """Write the results of a run, and the index.

        Args:
            key: key of a run that was started.
            report: results that JSON can store; ``metrics`` (name to value) and ``headline``
                (name to value or text) are shown in the index.
            history: one row for each epoch or step.
            ranks: an evaluation with target ranks, or a file of them.
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

    def finished(
        self, experiment: str | None = None
    ) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
        """Yield the folder, ``config.json`` and ``report.json`` of each finished run.

        Args:
            experiment: only runs of this experiment; None for all.
        """
        for path in sorted(self.runs.glob(f"*/{REPORT}")):
            config = read_json(path.with_name(CONFIG))
            if experiment is None or config["experiment"] == experiment:
                yield path.parent, config, read_json(path)

    def frame(self) -> pd.DataFrame:
        """Return one row for each finished run, from the folders."""
        rows = []
        for folder, config, report in self.finished():
            metrics = report.get("metrics", {})
            key = RunKey(**{field.name: config[field.name] for field in fields(RunKey)})
            headline = (
                f"{name} {value}" if isinstance(value, str) else f"{name} {value:.4g}"
                for name, value in report.get("headline", {}).items()
            )
            rows.append(
                {"id": folder.name}
                | asdict(key)
                | {name: metrics.get(name, math.nan) for name in RANKING_FIGURES}
                | {"headline": "; ".join(headline)}
                | {"ranks": "kept" if (folder / RANKS).is_file() else "not kept"}
                | {"date": config.get("date", ""), "command": config["command"]}
            )
        frame = pd.DataFrame(rows)
        order = ["experiment", "dataset", "model", "variant", "seed"]
        return frame.sort_values(order, ignore_index=True) if rows else frame

    def write_index(self) -> pd.DataFrame:
        """Write ``runs.csv`` from the folders; return its rows."""
        with locked(self.index):
            frame = self.frame()
            write_text(self.index, frame.to_csv(index=False, float_format="%.6g"))
        return frame

    def write_metrics(self, experiment: str, dataset: str) -> None:
        """Write ``<experiment>/<dataset>.csv``: a row for each finished run, with its metrics."""
        rows = [
            {"id": folder.name}
            | {name: config[name] for name in ("model", "variant", "seed")}
            | report["metrics"]
            for folder, config, report in self.finished(experiment)
            if config["dataset"] == dataset
        ]
        table = pd.DataFrame(rows).sort_values(["model", "variant", "seed"])
        path = self.index.parent / experiment / f"{dataset}.csv"
        write_text(path, table.to_csv(index=False))

    def rekey(self) -> dict[str, str]:
        """Rename folders whose id differs from that of their config, and write the index.

        Use it after a setting or an experiment was renamed in the ``config.json`` files.

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
    """Return an evaluation as stored in ``report.json``: metrics, intervals and costs."""
    return {
        "on": report.on,
        "split_hash": report.split_hash,
        "n_users": report.n_users,
        "metrics": {key: round(value, 6) for key, value in report.metrics.items()},
        "intervals": {key: [round(v, 6) for v in ends] for key, ends in report.intervals.items()},
        "costs": {key: round(float(value), 3) for key, value in report.costs.items()},
    }


def write_history(path: Path, history: pd.DataFrame) -> None:
    """Write one JSON object for each row, without missing values."""
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
    """Convert a value for JSON: non-finite numbers to null, other objects to their repr."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else repr(value)
