"""Runs killed by SIGKILL at random moments end in the weights of runs never interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from m6rec_lite.training import CheckpointError
from tests.training import training_program
from tests.training.training_program import shared_out

PROGRAM = Path(training_program.__file__)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and fork are POSIX's"),
]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def same(one, other) -> bool:
    """Bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def steps_in(folder: Path) -> int:
    """Steps that the newest checkpoint holds."""
    return max((int(path.name.rpartition("-")[2]) for path in folder.glob("step-*")), default=0)


def wait_for(folder: Path, steps: int) -> None:
    """Until a checkpoint holds this number of steps."""
    until = time.monotonic() + 90
    while steps_in(folder) < steps:
        assert time.monotonic() < until, f"no checkpoint of step {steps} in {folder}"
        time.sleep(0.001)


class Nursery:
    """Starts runs in processes of their own."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self.line() == "ready"

    def line(self) -> str:
        return self.process.stdout.readline().strip()

    def start(self, result: Path, folder: Path) -> int:
        self.process.stdin.write(f"{result}\t{folder}\n")
        self.process.stdin.flush()
        return int(self.line())


@pytest.fixture(scope="module")
def nursery():
    result = Nursery()
    yield result
    result.process.stdin.close()
    result.process.wait(20)
    result.process.stdout.close()


@pytest.fixture(scope="module")
def untouched(nursery, tmp_path_factory) -> dict:
    """The end of a run that was not interrupted."""
    folder = tmp_path_factory.mktemp("untouched")
    nursery.start(folder / "end.pt", folder / "run")
    assert nursery.line() == "0"
    return torch.load(folder / "end.pt")


@pytest.mark.parametrize("seed", range(3))
def test_a_run_killed_again_and_again_ends_as_one_never_interrupted(
    nursery, untouched, tmp_path, seed
):
    chance, folder, seen = random.Random(seed), tmp_path / "run", 0
    for _ in range(5):
        child = nursery.start(tmp_path / "end.pt", folder)
        wait_for(folder, seen + chance.randrange(1, 8))
        time.sleep(chance.uniform(0, 0.03))  # within a step, a validation, a write …
        os.kill(child, signal.SIGKILL)
        assert nursery.line() == "-9", "killed too late to show anything"
        assert steps_in(folder) >= seen
        seen = steps_in(folder)
    assert seen > 0
    nursery.start(tmp_path / "end.pt", tmp_path / "run")
    assert nursery.line() == "0"
    result = torch.load(tmp_path / "end.pt")
    assert same(result, untouched)
    assert not list((tmp_path / "run").glob(".step-*")), "left-overs of killed writes"


def launch(*arguments: Path) -> subprocess.Popen:
    """The program on two processes of this machine's cores."""
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    command += ["--dynamo_backend", "no", "--main_process_port", "0", str(PROGRAM), "train"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen) -> None:
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output


def kill_all(process: subprocess.Popen) -> int:
    """SIGKILL to the launcher and its workers; returns how many workers there were."""
    workers = psutil.Process(process.pid).children(recursive=True)
    for victim in [*workers, process]:
        victim.kill()
    process.communicate(timeout=90)
    psutil.wait_procs(workers, timeout=20)
    return len(workers)


@pytest.fixture(scope="module")
def two_untouched(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("two")
    finish(launch(folder / "end.pt", folder / "run", folder / "shared.pt", folder / "runs"))
    result = {name: torch.load(folder / f"{name}.pt") for name in ("end", "shared")}
    return {**result, "runs": folder / "runs"}


def test_two_processes_killed_end_as_two_never_interrupted(two_untouched, tmp_path):
    chance = random.Random(0)
    folder = tmp_path / "run"
    process = launch(tmp_path / "end.pt", folder)
    wait_for(folder, 1)
    time.sleep(chance.uniform(0, 0.15))
    assert kill_all(process) == 2
    assert not (tmp_path / "end.pt").exists(), "killed too late to show anything"
    finish(launch(tmp_path / "end.pt", folder))
    assert same(torch.load(tmp_path / "end.pt"), two_untouched["end"])


def test_two_processes_take_the_steps_of_one_that_accumulates_twice_as_much(
    two_untouched, tmp_path
):
    shared_out(tmp_path / "one.pt", tmp_path / "runs")
    one = torch.load(tmp_path / "one.pt")
    assert one.keys() == two_untouched["shared"].keys() == {"even", "weighed"}
    for name, result in two_untouched["shared"].items():
        assert result["loss"] == pytest.approx(one[name]["loss"], rel=1e-12)
        for key, weights in result["weights"].items():
            torch.testing.assert_close(weights, one[name]["weights"][key], rtol=1e-11, atol=1e-13)


def test_two_processes_agree_when_to_save_and_one_does_not_go_on_from_there(
    two_untouched, tmp_path
):
    folder = two_untouched["runs"]
    assert [path.name for path in sorted((folder / "even").glob("step-*"))] == [
        "step-00000006",  # the ends of the last two epochs, three steps each
        "step-00000009",
    ]
    with pytest.raises(CheckpointError, match="processes: 2 in the checkpoint, 1 now"):
        shared_out(tmp_path / "one.pt", folder)


def test_the_run_that_is_killed_learns_and_uses_all_that_has_a_state(untouched):
    errors = [record["error"] for record in untouched["records"]]
    assert min(errors) < 0.5 * errors[0]
    assert len({record["lr"] for record in untouched["records"]}) > 3, "the rate never fell"
    assert "not got better" in untouched["stopped"]
    assert len(errors) < 30
