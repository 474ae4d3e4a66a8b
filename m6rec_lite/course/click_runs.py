"""Click models compared: each fitted on the earliest impressions and judged on the latest.

    python -m m6rec_lite.course.click_runs LogisticCTR DIN --dataset bazaar --seeds 0 1 2
    python -m m6rec_lite.course.click_runs M6RecCTR --set size=nano epochs=2

Impressions are cut by time: eight tenths to learn from, one to choose settings by, one to be judged
by. Every model is held against two rivals on the same rows, logistic regression and a DIN that
reads the same statistics, by paired intervals over users; where there is an oracle, its row says
what the best possible ranking has. The rows enter ``results/clicks/<dataset>.csv``, one a model,
variant and seed, with the command that made them; predictions are kept in ``runs/clicks/``, so that
any two models can be compared later.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from m6rec_lite.course.long_runs import settings
from m6rec_lite.course.places import project_root
from m6rec_lite.course.records import put
from m6rec_lite.ctr.base import ClickModel, MeanRateCTR, labelled
from m6rec_lite.ctr.din import DIN
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.ctr.linear import FactorizationMachineCTR, LogisticCTR
from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.evaluation.ctr import ctr_metrics
from m6rec_lite.evaluation.ctr_compare import compare_auc
from m6rec_lite.m6rec.click_model import M6RecCTR

MODELS: dict[str, type[ClickModel]] = {
    kind.__name__: kind
    for kind in (MeanRateCTR, LogisticCTR, FactorizationMachineCTR, DIN, M6RecCTR)
}
#: What every model is held against: variant, and settings, by name.
RIVALS: dict[str, tuple[str, dict[str, Any]]] = {
    "LogisticCTR": ("", {}),
    "DIN": ('statistics=["counts","matches"]', {"statistics": ("counts", "matches")}),
}
ORACLE = "Oracle"
KEY = ["dataset", "label", "model", "variant", "seed"]


class ClickRuns:
    """The runs of one data set and label: what is asked, what was answered, and the table.

    Args:
        dataset: with impressions.
        root: the project's folder.
        label: see ``ClickModel``.

    Raises:
        ValueError: if the data set has no impressions.
        DataError: if they cannot be cut in three, or lack the label.
    """

    def __init__(self, dataset: Dataset, root: Path, label: str = "clicked") -> None:
        if dataset.impressions is None:
            raise ValueError(f"{dataset.name} has no impressions: there are no clicks to foretell")
        self.dataset, self.label = dataset, label
        self.train, self.validation, self.test = split_by_time(dataset.impressions)
        self.asked, self.truth = labelled(self.test, label)
        self.users = self.asked["user_id"].to_numpy()
        self.path = root / "results" / "clicks" / f"{dataset.name}.csv"
        self._kept = root / "runs" / "clicks" / f"{dataset.name}-{label}"

    def fit(self, model: ClickModel, variant: str, *, command: str, progress: bool = True) -> None:
        """Fit a model, judge it, and write its row."""
        clock = time.perf_counter()
        model.fit(self.train, self.dataset, validation=self.validation, progress=progress)
        seconds = time.perf_counter() - clock
        clock = time.perf_counter()
        chances = model.predict(self.asked, self.dataset)
        more = {"fit_seconds": seconds, "predict_seconds": time.perf_counter() - clock}
        name, seed = type(model).__name__, getattr(model, "seed", 0)
        self.write(name, variant, seed, chances, command=command, **more)

    def write(
        self,
        name: str,
        variant: str,
        seed: int,
        chances: np.ndarray,
        *,
        command: str,
        **more: float,
    ) -> dict[str, Any]:
        """Judge ``(n,)`` chances of the test rows, and write the row and the chances."""
        self._kept.mkdir(parents=True, exist_ok=True)
        np.save(self._file(name, variant, seed), chances.astype(np.float64))
        row: dict[str, Any] = dict(
            zip(KEY, (self.dataset.name, self.label, name, variant, seed), strict=True)
        )
        row |= {"n_train": len(self.train), "n_test": len(self.truth)}
        row |= ctr_metrics(self.truth, chances, self.users)
        for rival, (other, _) in RIVALS.items():
            if (name, variant, seed) == (rival, other, 0):
                continue
            test = compare_auc(self.truth, chances, self.rival(rival), self.users)
            found = (test.mean_difference, test.low, test.high)
            row |= dict(zip(against(rival), found, strict=True))
        row |= more | {"command": command}
        put(self.path, [row], KEY)
        return row

    def rival(self, name: str) -> np.ndarray:
        """``(n,)`` chances of one of ``RIVALS``, seed 0.

        It is fitted, and its row written, if its chances are not kept.
        """
        variant, given = RIVALS[name]
        file = self._file(name, variant, 0)
        if not file.is_file() or len(np.load(file)) != len(self.truth):
            command = f"python -m m6rec_lite.course.click_runs {name} --dataset {self.dataset.name}"
            command += f" --set '{variant}'" if variant else ""
            model = MODELS[name](**given, label=self.label)
            self.fit(model, variant, command=command, progress=False)
        return np.load(file)

    def oracle(self, *, command: str) -> None:
        """Write what the world itself would answer, where it can be asked."""
        oracle = self.dataset.oracle
        if oracle is None or self.label != "clicked":
            return
        rows = self.asked
        parts = (rows[name].to_numpy() for name in ("user_id", "item_id", "timestamp", "position"))
        self.write(ORACLE, "", 0, oracle.click_probability(*parts), command=command)

    def _file(self, name: str, variant: str, seed: int) -> Path:
        said = "-".join(filter(None, (name, re.sub(r"[^\w.=-]+", "-", variant))))
        return self._kept / f"{said}-seed{seed}.npy"


def against(rival: str) -> tuple[str, str, str]:
    """The columns that hold a model's AUC less a rival's, and the ends of its interval."""
    return f"auc - {rival}", f"auc - {rival}, low", f"auc - {rival}, high"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", choices=sorted(MODELS))
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--label", default="clicked")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    try:
        given = settings(options.set)
        runs = ClickRuns(load_dataset(options.dataset), project_root(), options.label)
        made = [
            MODELS[name](
                **given,
                label=options.label,
                **({"seed": seed} if "seed" in MODELS[name].__dataclass_fields__ else {}),
            )
            for name in options.models
            for seed in options.seeds
            if seed == options.seeds[0] or "seed" in MODELS[name].__dataclass_fields__
        ]
    except (ValueError, TypeError, OSError) as error:
        sys.stderr.write(f"click_runs: {error}\n")
        return 2
    variant, base = " ".join(options.set), "python -m m6rec_lite.course.click_runs"
    base += f" {{}} --dataset {options.dataset} --label {options.label} --seeds {{}}"
    base += f" --set {variant}" if variant else ""
    runs.oracle(command=base.format(" ".join(options.models), options.seeds[0]))
    for model in made:
        name, seed = type(model).__name__, getattr(model, "seed", 0)
        runs.fit(model, variant, command=base.format(name, seed))
    shown = pd.read_csv(runs.path)
    print(shown[shown["label"] == options.label].drop(columns=["command"]).to_string(index=False))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
