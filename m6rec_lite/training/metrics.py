"""What a run does as it goes: losses, speed and memory, in a file of one line of JSON each time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import torch
from accelerate import Accelerator

from m6rec_lite.data.files import write_text
from m6rec_lite.evaluation import costs
from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.run import Run

#: Numbers of a loss's logs that count work; they become rates.
TOKENS, TERAFLOP = "tokens", "teraflop"


class Metrics(Callback):
    """Writes the means of what the loss logs, every few steps, and the record of every epoch.

    Of a loss that logs ``tokens`` and ``teraflop`` (a batch's tokens, and the operations that the
    model's formulas ask for, forward and backward), lines and records hold ``tokens/s`` and ``mfu``
    instead: the share of the device's arithmetic that went into the model (model FLOPs
    utilisation; Chowdhery et al., *PaLM*, 2022, appendix B). A run that goes on after an
    interruption takes its file up where its checkpoint left it.

    Args:
        path: the file; its folder is made.
        every: steps between two lines.
        peak_teraflops: of the device, a second, in the precision of the run; None leaves ``mfu``
            out. Of one process; all count alike.

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
        """Keep the lines up to where the run goes on."""
        self._since = None
        if not run.accelerator.is_main_process:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read_metrics(self.path) if line["step"] <= run.step]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def step(self, run: Run) -> None:
        """Write a line, of the steps since the last one and of all processes."""
        if self._since is not None and run.step % self.every:
            return
        names = sorted(run.sums)  # the same in all processes, whose batches make one step
        whole = run.accelerator.reduce(torch.stack([run.sums[name] for name in names]), "sum")
        sums = dict(zip(names, whole.tolist(), strict=True))  # waits for a GPU
        before, self._since = self._since, (time.perf_counter(), sums)
        if before is None or sums[""] <= before[1].get("", 0.0):
            return
        gained = {name: value - before[1].get(name, 0.0) for name, value in sums.items()}
        batches = gained.pop("")
        means = {name: value / batches for name, value in gained.items()}
        self._rates(means, batches, self._since[0] - before[0], run)
        self._write(run, {"step": run.step, "epoch": run.epoch + 1, "lr": run.lr, **means})

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Turn the record's counts into rates, and write it."""
        batches = float(run.sums[""]) * run.accelerator.num_processes
        self._rates(record, batches, record["seconds"], run)
        self._write(run, {"step": run.step, "record": record})
        self._since = (time.perf_counter(), {})  # validation is not training

    def _rates(self, numbers: dict[str, float], batches: float, seconds: float, run: Run) -> None:
        """Put rates and memory in place of the counts of a number of batches."""
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


def read_metrics(path: str | Path) -> list[dict]:
    """The lines of a file of metrics; a last one that was cut off is left out."""
    lines = []
    if Path(path).is_file():
        for text in Path(path).read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:
                break
    return lines


def peak_mib(device: torch.device) -> float:
    """Return the most memory this process has held, in MiB: of a GPU, else of the machine."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / costs.MIB
    return costs.peak_mib()


#: Dense bf16 and fp16 products a second, in 10^12, by part of a GPU's name (makers' data sheets).
PEAKS = {"H200": 989.4, "H100": 989.4, "A100": 312.0, "L40S": 362.0, "4090": 165.2, "L4": 121.0}


def peak_teraflops(accelerator: Accelerator) -> float:
    """What a device can do at most in a run's precision, in 10^12 operations a second.

    The maker's figure for 16 bits on a GPU of ``PEAKS``; elsewhere what a large product reaches.
    """
    device, half = accelerator.device, accelerator.mixed_precision != "no"
    if device.type == "cuda" and half:
        name = torch.cuda.get_device_name(device)
        known = [peak for part, peak in PEAKS.items() if part in name]
        if known:
            return known[0]
    kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
    return matmul_teraflops(device, kinds.get(accelerator.mixed_precision, torch.float32))


def matmul_teraflops(device: torch.device, dtype: torch.dtype, *, seconds: float = 0.3) -> float:
    """What a product of two large matrices reaches on a device, in 10^12 operations a second.

    A peak to measure a run by where the maker's figure is not known: nothing made of matrix
    products gets past it.
    """
    n = 8192 if device.type == "cuda" else 1024
    a = torch.randn(n, n, device=device, dtype=dtype)
    best, since = float("inf"), time.perf_counter()
    while time.perf_counter() - since < seconds or best == float("inf"):
        start = time.perf_counter()
        total = (a @ a).sum()
        float(total)  # waits for the device
        best = min(best, time.perf_counter() - start)
    return 2 * n**3 / best / 1e12
