"""The same models under other numbers of threads and instruction sets."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from experiments.faults.bench import Bench
from experiments.faults.saved_files import world
from m6rec_lite.course.paths import project_root
from m6rec_lite.data import leave_one_out
from m6rec_lite.evaluation import evaluate
from m6rec_lite.recommenders import EASE, IALS, GRU4Rec, SASRec

#: Environments by name; the first is what the others are compared with.
SETTINGS: dict[str, dict[str, str]] = {
    "1 thread": {},
    "1 thread, again": {},
    "2 threads": {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
    "kernels for AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "kernels without AVX": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    "NumPy for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "NumPy for Nehalem": {"OPENBLAS_CORETYPE": "Nehalem"},
}


def write_numbers(path: str) -> None:
    """Fit small models, and write their scores and NDCG@10 to a file."""
    split = leave_one_out(world(3))
    models = {
        "EASE": EASE(),
        "IALS": IALS(),
        "SASRec": SASRec(epochs=10),
        "GRU4Rec": GRU4Rec(epochs=3),
    }
    arrays: dict[str, Any] = {}
    for name, model in models.items():
        model.fit(split.train, progress=False)
        arrays[name] = model.score(split.test.histories)
        arrays[f"{name} NDCG@10"] = evaluate(model, split, progress=False).metrics["ndcg@10"]
    np.savez(path, **arrays)


def numbers(bench: Bench) -> Iterator[str]:
    """Compare scores and metrics under other threads and instruction sets."""
    found: dict[str, dict[str, np.ndarray]] = {}
    code = "import sys; from experiments.faults.numbers import write_numbers as w; w(sys.argv[1])"
    for name in bench.each([*SETTINGS][: bench.tries], "settings"):
        path = bench.fresh() / "numbers.npz"
        base = {
            "PYTHONPATH": str(project_root()),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", code, str(path)],
            env=os.environ | base | SETTINGS[name], check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            yield f"lost: {name}: {done.stderr.strip().splitlines()[-1][:80]}"
            continue
        with np.load(path) as file:
            found[name] = dict(file)
        first = found["1 thread"]
        bench.figures[name] = {
            key: float(np.abs(value - first[key]).max() / (1 if "@" in key else np.ptp(first[key])))
            for key, value in found[name].items()
        }
        yield "ran to the end"
