"""What a run writes as it goes, and a run that is interrupted."""

from __future__ import annotations

import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from m6rec_lite.training import Callback, Checkpoints, History, RowBatches, Run, fit
from m6rec_lite.training.metrics import Metrics, matmul_teraflops, peak_teraflops, read_metrics
from m6rec_lite.training.signals import StopOnSignal

ROWS = torch.arange(24.0)[:, None]


def train(
    callbacks: list[Callback], folder: Path | None = None, epochs: int = 4
) -> tuple[nn.Module, History]:
    """Eight batches an epoch; the loss logs how large its batch's first number is."""
    torch.manual_seed(0)
    model = nn.Linear(1, 1)

    def loss(model: nn.Module, batch: tuple[torch.Tensor]) -> tuple[torch.Tensor, dict[str, Any]]:
        (x,) = batch
        value = ((model(x) - x) ** 2).mean() / 100
        return value, {"first": x[0, 0], "tokens": 3, "teraflop": 0.5}

    history = fit(
        model,
        RowBatches(ROWS, batch_size=3),
        loss,
        optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
        epochs=epochs,
        callbacks=callbacks,
        checkpoint=None if folder is None else Checkpoints(folder, steps=3),
        device="cpu",
        progress=False,
    )
    return model, history


class Stop(Callback):
    """Does something once, after a step."""

    def __init__(self, step: int, what: Any) -> None:
        self.at, self.what = step, what

    def step(self, run: Run) -> None:
        if run.step == self.at:
            self.what()


def test_lines_hold_the_means_since_the_last_line(tmp_path: Path) -> None:
    seen: list[float] = []

    class Look(Callback):
        def step(self, run: Run) -> None:
            seen.append(float(run.sums["first"]))

    path = tmp_path / "run" / "metrics.jsonl"
    _, history = train([Look(), Metrics(path, every=2, peak_teraflops=1000.0)])
    lines = read_metrics(path)
    steps = [line for line in lines if "record" not in line]
    assert [line["step"] for line in steps] == list(range(2, 33, 2))
    for line in steps:
        epoch, within = divmod(line["step"] - 1, 8)
        sums = [0.0, *seen[8 * epoch : 8 * epoch + 8]]
        since = within - 1 + (line["step"] == 2)  # the first step of all is only timed from
        mean = (sums[within + 1] - sums[since]) / (within + 1 - since)
        assert line["first"] == pytest.approx(mean)
        assert line["epoch"] == epoch + 1
        assert line["tokens/s"] > 0
        assert line["mfu"] == pytest.approx(line["tokens/s"] / 3 * 0.5 / 1000)
        assert line["peak_mib"] > 10
    records = [line["record"] for line in lines if "record" in line]
    assert records == history.records
    for record in records:
        assert record["tokens/s"] == pytest.approx(3 * 8 / record["seconds"])
        assert "tokens" not in record
        assert "teraflop" not in record


def test_without_counts_there_are_no_rates(tmp_path: Path) -> None:
    path, model = tmp_path / "metrics.jsonl", nn.Linear(1, 1)
    fit(
        model,
        RowBatches(ROWS, batch_size=6),
        lambda model, batch: model(batch[0]).square().mean(),
        optimizer=torch.optim.SGD(model.parameters(), lr=1e-4),
        epochs=1,
        callbacks=[Metrics(path, every=1)],
        device="cpu",
        progress=False,
    )
    assert set(read_metrics(path)[-1]["record"]) & {"tokens/s", "mfu"} == set()
    with pytest.raises(ValueError, match="at least 1"):
        Metrics(path, every=0)


def test_a_run_that_goes_on_takes_its_file_up_where_its_checkpoint_left_it(
    tmp_path: Path,
) -> None:
    def broken() -> None:
        raise KeyboardInterrupt

    path = tmp_path / "metrics.jsonl"
    with pytest.raises(KeyboardInterrupt):
        train([Metrics(path, every=1), Stop(14, broken)], tmp_path / "checkpoints")
    assert read_metrics(path)[-1]["step"] == 14
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"step": 15, "los')  # the disk was full
    train([Metrics(path, every=1)], tmp_path / "checkpoints")
    steps = [line["step"] for line in read_metrics(path) if "record" not in line]
    assert steps == sorted(set(steps))
    assert steps[-1] == 32
    assert {*range(2, 33)} - {*steps} <= {13}
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_peaks_are_of_the_right_size() -> None:
    peak = matmul_teraflops(torch.device("cpu"), torch.float32, seconds=0.05)
    assert 0 < peak < 1000  # of any processor; in the right unit
    assert peak_teraflops(Accelerator(cpu=True)) > 0


def test_an_interrupted_run_resumes_to_the_same_end(tmp_path: Path) -> None:
    whole, history = train([StopOnSignal()])
    before = signal.getsignal(signal.SIGTERM)
    tell = Stop(13, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        train([tell], tmp_path)
    assert ended.value.code == 143
    assert Checkpoints(tmp_path).paths()[-1].name == "step-00000013"
    assert signal.getsignal(signal.SIGTERM) is before
    model, rest = train([], tmp_path)
    assert rest.stopped is None
    assert rest["loss"] == history["loss"]
    assert torch.equal(model.weight, whole.weight)


def test_a_second_signal_ends_the_program_at_once() -> None:
    class Ended(BaseException):
        pass

    def end(number: int, frame: Any) -> None:
        raise Ended

    before = signal.signal(signal.SIGTERM, end)
    try:
        twice = Stop(2, lambda: [os.kill(os.getpid(), signal.SIGTERM) for _ in range(2)])
        with pytest.raises(Ended):
            train([twice, StopOnSignal()])
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_another_thread_it_does_nothing() -> None:
    result: list[History] = []
    thread = threading.Thread(target=lambda: result.append(train([StopOnSignal()])[1]))
    thread.start()
    thread.join()
    assert result[0].stopped is None
