"""Two processes on the cores of a machine pretrain as one that takes twice the batches a step."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from m6rec_lite.data.bazaar import generate
from m6rec_lite.m6rec.pretraining import Pretraining, pretrain
from m6rec_lite.training.metrics import read_metrics

SETTINGS = {"size": "nano", "steps": 30, "lines": 4, "vocab_size": 400, "validations": 1}


def loss_curve(folder: Path) -> dict[int, float]:
    """The loss by the step up to which it is a mean."""
    lines = read_metrics(folder / "metrics.jsonl")
    return {line["step"]: line["loss"] for line in lines if "loss" in line}


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the launcher's processes want POSIX")
def test_one_process_and_two_have_the_same_loss_curve(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    settings = Pretraining(**SETTINGS, accumulate=2)
    world = generate(users=60, items=80, seed=3)
    options = {"dataset": world, "device": "cpu", "ngrams": False, "progress": False}
    pretrain(settings, one, **options)
    for name in ("tokens", "tokenizer"):  # so that the two load no data
        shutil.copytree(one / name, two / name)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu"]
    command += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
    command += ["--dynamo_backend", "no", "--main_process_port", "0"]
    command += ["-m", "m6rec_lite.m6rec.pretraining", "--out", str(two), "--quiet", "--no-ngrams"]
    for name, value in SETTINGS.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("infilling nats") == 1, "one process speaks for both"
    curve = loss_curve(one)
    assert sorted(curve) == [10, 20, 30]
    assert loss_curve(two) == pytest.approx(curve, abs=1e-4)
    assert curve[30] < curve[10]
    reports = [json.loads((folder / "report.json").read_text()) for folder in (one, two)]
    for name, value in reports[0]["held out"].items():
        assert reports[1]["held out"][name] == pytest.approx(value, abs=1e-4), name
    ours, reference = (load_file(folder / "model" / "model.safetensors") for folder in (one, two))
    assert ours.keys() == reference.keys()
    apart = max(float((ours[name] - reference[name]).abs().max()) for name in ours)
    assert apart < 1e-4, "steps of AdamW are of the rate's size, a hundred times more"
