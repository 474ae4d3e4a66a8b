"""Metrics of a run: losses, speed and memory, in a file of JSON lines."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation import costs
from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.run import Run

#: Names of logged numbers that count work; they are converted to rates.
TOKENS, TERAFLOP = "tokens", "teraflop"


class Metrics(Callback):
    """Write the means of the logged numbers every few steps, and the record of every epoch.

    If the loss logs ``tokens`` and ``teraflop`` (the tokens of a batch, and the operations of the
    model's formulas, forward and backward), lines and records contain ``tokens/s`` and ``mfu``
    instead: the fraction of the device's peak that the model used (model FLOPs utilisation;
    Chowdhery et al., *PaLM*, 2022, appendix B). A resumed run continues the file from its
    checkpoint.

    Args:
        path: the file; its folder is created.
        every: steps between two lines.
        peak_teraflops: peak of one process's device, in 10^12 operations per second, in the
            precision of the run; None leaves ``mfu`` out.

    Raises:
        ValueError: if ``every`` is below 1.
    """

    def __init__(
        self, path: str | Path, *, every: int = 10, peak_teraflops: float | None = None
    ) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every!r}")
        self.path, self.every, self.peak = Path(path), every, peak_teraflops
        self._since: tuple[float, dict[str, float]] | None = None

    def start(self, run: Run) -> None:
        """Drop the lines after the step at which the run resumes."""
        self._since = None
        if not run.accelerator.is_main_process:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [line for line in read_metrics(self.path) if line["step"] <= run.step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def step(self, run: Run) -> None:
        """Write a line with the means since the last one, over all processes."""
        if self._since is not None and run.step % self.every:
            return
        names = sorted(run.sums)  # the same in all processes
        reduced = run.accelerator.reduce(torch.stack([run.sums[name] for name in names]), "sum")
        sums = dict(zip(names, reduced.tolist(), strict=True))  # waits for a GPU
        before, self._since = self._since, (time.perf_counter(), sums)
        if before is None or sums[""] <= before[1].get("", 0.0):
            return
        deltas = {name: value - before[1].get(name, 0.0) for name, value in sums.items()}
        batches = deltas.pop("")
        means = {name: value / batches for name, value in deltas.items()}
        self._rates(means, batches, self._since[0] - before[0], run)
        self._write(run, {"step": run.step, "epoch": run.epoch + 1, "lr": run.lr, **means})

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Convert the record's counts to rates and write it."""
        batches = float(run.sums[""]) * run.accelerator.num_processes
        self._rates(record, batches, record["seconds"], run)
        self._write(run, {"step": run.step, "record": record})
        self._since = (time.perf_counter(), {})  # excludes the time of validation

    def _rates(self, numbers: dict[str, float], batches: float, seconds: float, run: Run) -> None:
        """Replace the counts by rates and add the peak memory."""
        tokens, teraflop = numbers.pop(TOKENS, None), numbers.pop(TERAFLOP, None)
        if tokens is not None:
            numbers["tokens/s"] = tokens * batches / seconds
        if teraflop is not None and self.peak:
            peak = self.peak * run.accelerator.num_processes
            numbers["mfu"] = teraflop * batches / seconds / peak
        numbers["peak_mib"] = peak_mib(run.accelerator.device)

    def _write(self, run: Run, line: dict[str, object]) -> None:
        if run.accelerator.is_main_process:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def read_metrics(path: str | Path) -> list[dict[str, Any]]:
    """Return the lines of a metrics file, up to the first incomplete one."""
    lines = []
    if Path(path).is_file():
        for text in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines


def peak_mib(device: torch.device) -> float:
    """Return the peak memory of this process in MiB: GPU memory on a GPU, else main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / costs.MIB
    return costs.peak_mib()


#: Dense bf16/fp16 peak in 10^12 operations per second, by part of a GPU's name (data sheets).
PEAKS = {"H200": 989.4, "H100": 989.4, "A100": 312.0, "L40S": 362.0, "4090": 165.2, "L4": 121.0}


def peak_teraflops(accelerator: Accelerator) -> float:
    """Return the peak of a device in a run's precision, in 10^12 operations per second.

    The data sheet's value for 16 bits on a GPU of ``PEAKS``; else measured on a matrix product.
    """
    device, half = accelerator.device, accelerator.mixed_precision != "no"
    if device.type == "cuda" and half:
        name = torch.cuda.get_device_name(device)
        matches = [peak for part, peak in PEAKS.items() if part in name]
        if matches:
            return matches[0]
    dtypes = {"bf16": torch.bfloat16, "fp16": torch.float16}
    return matmul_teraflops(device, dtypes.get(accelerator.mixed_precision, torch.float32))


def matmul_teraflops(device: torch.device, dtype: torch.dtype, *, seconds: float = 0.3) -> float:
    """Measure the product of two large matrices, in 10^12 operations per second.

    It serves as the peak of a device whose data sheet is not known.
    """
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=dtype)
    best, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < seconds or best == float("inf"):
        start = time.perf_counter()
        total = (a @ a).sum()
        float(total)  # waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best / 1e12
