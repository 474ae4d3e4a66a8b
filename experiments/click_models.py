"""Compare click models, fitted on the earliest impressions and evaluated on the latest.

    python -m experiments click_models LogisticCTR DIN --dataset bazaar --seeds 0 1 2
    python -m experiments click_models M6RecCTR --set size=nano epochs=2

Impressions are split by time: eight tenths for training, one for validation, one for test. Every
model is compared with two baselines on the same rows, logistic regression and a DIN with the same
statistics, by paired intervals over users; the row of the oracle, if there is one, is the upper
bound. ``results/clicks/<dataset>.csv`` has one row for each model, variant and seed, with its
command; predictions are saved in ``runs/clicks/``. A model with a row is skipped.
"""

from __future__ import annotations

import argparse
import inspect
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.arguments import add_settings_argument, read_settings
from m6rec_lite.ctr.base import ClickModel, MeanRateCTR, labelled
from m6rec_lite.ctr.din import DIN
from m6rec_lite.ctr.impressions import split_by_time
from m6rec_lite.ctr.linear import FactorizationMachineCTR, LogisticCTR
from m6rec_lite.data import Dataset, load_dataset
from m6rec_lite.data.result_files import has_row, upsert_rows
from m6rec_lite.evaluation.ctr import ctr_metrics
from m6rec_lite.evaluation.ctr_compare import compare_auc
from m6rec_lite.m6rec.click_model import M6RecCTR

MODELS: dict[str, Callable[..., ClickModel]] = {
    kind.__name__: kind
    for kind in (MeanRateCTR, LogisticCTR, FactorizationMachineCTR, DIN, M6RecCTR)
}
#: Models that every other one is compared with: variant and settings, by name.
BASELINES: dict[str, tuple[str, dict[str, Any]]] = {
    "LogisticCTR": ("", {}),
    "DIN": ('statistics=["counts","matches"]', {"statistics": ("counts", "matches")}),
}
ORACLE = "Oracle"
KEY = ["dataset", "label", "model", "variant", "seed"]


class ClickComparison:
    """Evaluation of click models on one data set and label.

    Args:
        dataset: a data set with impressions.
        root: the project's folder.
        label: see ``ClickModel``.

    Raises:
        ValueError: if the data set has no impressions.
        DataError: if they cannot be split in three, or lack the label.
    """

    def __init__(self, dataset: Dataset, root: Path, label: str = "clicked") -> None:
        if dataset.impressions is None:
            raise ValueError(f"{dataset.name} has no impressions: there are no clicks to predict")
        self.dataset, self.label = dataset, label
        self.train, self.validation, self.test = split_by_time(dataset.impressions)
        self.questions, self.truth = labelled(self.test, label)
        self.users = self.questions["user_id"].to_numpy()
        self.path = root / "results" / "clicks" / f"{dataset.name}.csv"
        self._folder = root / "runs" / "clicks" / f"{dataset.name}-{label}"

    def key(self, name: str, variant: str, seed: int) -> dict[str, Any]:
        """Return the key of the row of a model, variant and seed."""
        values = (self.dataset.name, self.label, name, variant, seed)
        return dict(zip(KEY, values, strict=True))

    def is_recorded(self, name: str, variant: str, seed: int) -> bool:
        """Return whether the table has the row of a model, variant and seed."""
        return has_row(self.path, self.key(name, variant, seed), KEY)

    def fit(self, model: ClickModel, variant: str, *, command: str, progress: bool = True) -> None:
        """Fit and evaluate a model, and write its row."""
        clock = time.perf_counter()
        model.fit(self.train, self.dataset, validation=self.validation, progress=progress)
        seconds = time.perf_counter() - clock
        clock = time.perf_counter()
        probabilities = model.predict(self.questions, self.dataset)
        more = {"fit_seconds": seconds, "predict_seconds": time.perf_counter() - clock}
        name, seed = type(model).__name__, getattr(model, "seed", 0)
        self.write(name, variant, seed, probabilities, command=command, **more)

    def write(
        self,
        name: str,
        variant: str,
        seed: int,
        probabilities: np.ndarray,
        *,
        command: str,
        **more: float,
    ) -> dict[str, Any]:
        """Evaluate ``(n,)`` probabilities of the test rows; write the row and the array."""
        self._folder.mkdir(parents=True, exist_ok=True)
        np.save(self._file(name, variant, seed), probabilities.astype(np.float64))
        row = self.key(name, variant, seed)
        row |= {"n_train": len(self.train), "n_test": len(self.truth)}
        row |= ctr_metrics(self.truth, probabilities, self.users)
        for baseline, (other, _) in BASELINES.items():
            if (name, variant, seed) == (baseline, other, 0):
                continue
            test = compare_auc(self.truth, probabilities, self.baseline(baseline), self.users)
            interval = (test.mean_difference, test.low, test.high)
            row |= dict(zip(difference_columns(baseline), interval, strict=True))
        row |= more | {"command": command}
        upsert_rows(self.path, [row], KEY)
        return row

    def baseline(self, name: str) -> np.ndarray:
        """Return the ``(n,)`` probabilities of one of ``BASELINES``, seed 0; fit it if needed."""
        variant, settings = BASELINES[name]
        file = self._file(name, variant, 0)
        if not file.is_file() or len(np.load(file)) != len(self.truth):
            command = f"python -m experiments click_models {name} --dataset {self.dataset.name}"
            command += f" --set '{variant}'" if variant else ""
            model = MODELS[name](**settings, label=self.label)
            self.fit(model, variant, command=command, progress=False)
        return np.load(file)

    def oracle(self, *, command: str) -> None:
        """Write the row of the true click probabilities, if the data set has an oracle."""
        oracle = self.dataset.oracle
        if oracle is None or self.label != "clicked":
            return
        rows = self.questions
        parts = (rows[name].to_numpy() for name in ("user_id", "item_id", "timestamp", "position"))
        self.write(ORACLE, "", 0, oracle.click_probability(*parts), command=command)

    def _file(self, name: str, variant: str, seed: int) -> Path:
        stem = "-".join(filter(None, (name, re.sub(r"[^\w.=-]+", "-", variant))))
        return self._folder / f"{stem}-seed{seed}.npy"


def difference_columns(baseline: str) -> tuple[str, str, str]:
    """Return the columns of a model's AUC minus a baseline's, and of its interval bounds."""
    return f"auc - {baseline}", f"auc - {baseline}, low", f"auc - {baseline}, high"


def _has_seed(name: str) -> bool:
    return "seed" in inspect.signature(MODELS[name]).parameters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this experiment."""
    parser.add_argument("models", nargs="+", choices=sorted(MODELS))
    parser.add_argument("--dataset", default="bazaar")
    parser.add_argument("--label", default="clicked")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    add_settings_argument(parser)


def run(options: argparse.Namespace) -> None:
    """Fit and evaluate each model and seed without a row."""
    settings, variant = read_settings(options.set), " ".join(options.set)
    comparison = ClickComparison(load_dataset(options.dataset), options.root, options.label)
    models = [
        MODELS[name](
            **settings,
            label=options.label,
            **({"seed": seed} if _has_seed(name) else {}),
        )
        for name in options.models
        for seed in options.seeds
        if seed == options.seeds[0] or _has_seed(name)
    ]
    base = "python -m experiments click_models"
    base += f" {{}} --dataset {options.dataset} --label {options.label} --seeds {{}}"
    base += f" --set {variant}" if variant else ""
    if options.again or not comparison.is_recorded(ORACLE, "", 0):
        comparison.oracle(command=base.format(" ".join(options.models), options.seeds[0]))
    for model in models:
        name, seed = type(model).__name__, getattr(model, "seed", 0)
        if comparison.is_recorded(name, variant, seed) and not options.again:
            print(f"{name}, seed {seed}: recorded before (--again repeats it)")
            continue
        comparison.fit(model, variant, command=base.format(name, seed), progress=not options.quiet)
    shown = pd.read_csv(comparison.path)
    print(shown[shown["label"] == options.label].drop(columns=["command"]).to_string(index=False))
