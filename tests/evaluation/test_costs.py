"""The one meter of memory: what it reports, of whom, and in which unit."""

import gc
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from m6rec_lite.evaluation import Meter, costs
from m6rec_lite.evaluation.costs import MIB, peak_mib, resident_mib
from m6rec_lite.training.metrics import peak_mib as device_peak_mib

ROOT = Path(__file__).resolve().parents[2]


class Readings:
    """Stands for the system: memory rises and falls when the test says so."""

    def __init__(self, monkeypatch, resident, lifetime=0.0):
        self.resident, self.lifetime = resident, lifetime
        self.seen = threading.Event()
        monkeypatch.setattr(costs, "resident_mib", self.read)
        monkeypatch.setattr(costs, "peak_mib", lambda process=None: self.lifetime)

    def read(self, process=None):
        self.seen.set()
        return self.resident

    def rise(self, resident):
        """Hold a value until it was sampled once."""
        self.resident = resident
        self.seen.clear()
        assert self.seen.wait(60)
        self.seen.clear()
        assert self.seen.wait(60)  # the sample before may have been read when it rose


def test_the_peak_of_a_block_is_its_growth_at_the_highest(monkeypatch):
    system = Readings(monkeypatch, 100.0)
    with Meter(interval=0.001) as meter:
        system.rise(164.0)
        system.resident = 120.0
    assert meter.cost.peak_mib == 64.0
    assert meter.cost.seconds > 0


def test_a_block_that_frees_more_than_it_takes_has_no_negative_peak(monkeypatch):
    system = Readings(monkeypatch, 100.0)
    with Meter(interval=1000) as meter:
        system.resident = 20.0
    assert meter.cost.peak_mib == 0.0


def test_a_peak_between_two_samples_is_taken_from_the_system(monkeypatch):
    system = Readings(monkeypatch, 100.0, lifetime=150.0)
    with Meter(interval=1000) as meter:
        system.lifetime = 400.0
    assert meter.cost.peak_mib == 300.0
    with Meter(interval=1000) as meter:  # no new record: it was of earlier work
        pass
    assert meter.cost.peak_mib == 0.0


def test_measuring_collects_no_garbage():
    seen = []

    def collected(phase, info):
        seen.append(phase)

    gc.collect()
    gc.disable()
    gc.callbacks.append(collected)
    try:
        for _ in range(3):
            with Meter():
                pass
    finally:
        gc.callbacks.remove(collected)
        gc.enable()
    assert seen == []


def test_every_reading_is_in_mib():
    bytes_now = psutil.Process().memory_info().rss
    assert resident_mib() == pytest.approx(bytes_now / 2**20, rel=0.2)
    assert peak_mib() >= 0.5 * resident_mib()  # the same unit, whatever was freed since
    assert device_peak_mib(torch.device("cpu")) == pytest.approx(peak_mib(), rel=0.2)
    assert MIB == 2**20


def test_children_are_measured_and_this_process_is_not():
    own = np.ones(2**22)  # this process is large before the block
    fill = "x = bytearray(b'1') * (64 * 2**20)"
    with Meter(children=True, interval=0.005) as meter:
        child = subprocess.Popen(
            [sys.executable, "-c", f"{fill}; print(len(x), flush=True); input()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout.readline().strip() == b"67108864"
        meter._sample()  # while it surely lives
        child.communicate(b"\n")
    assert own.sum() > 0
    assert meter.cost.peak_mib > 64
    with Meter(children=True) as meter:
        pass
    assert meter.cost.peak_mib == 0.0


def test_memory_has_one_name_and_one_meter():
    """No other module reads memory, and no figure is called MB.

    A process with limited memory reads its own peak: the meter's imports would be part of it.
    """
    alone = {
        "m6rec_lite/evaluation/costs.py",
        "m6rec_lite/course/build/check_machine.py",
        "m6rec_lite/m6rec/cost/limited_process.py",
    }
    meters = ("ru_maxrss", "memory_info", "VmHWM", "statm", "gc.collect")
    wrong = [
        f"{name}: {word}"
        for folder in ("m6rec_lite", "benchmarks", "experiments")
        for path in ROOT.glob(f"{folder}/**/*.py")
        if (name := path.relative_to(ROOT).as_posix()) not in alone
        for word in (*meters, "peak_" + "mb")
        if word in path.read_text(encoding="utf-8")
    ]
    assert wrong == []
    for path in [*ROOT.glob("results/**/*.csv"), *ROOT.glob("results/**/*.json")]:
        assert "peak_" + "mb" not in path.read_text(encoding="utf-8"), path.name
