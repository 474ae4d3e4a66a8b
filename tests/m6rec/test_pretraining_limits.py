"""What pretraining refuses, and says: no room on the disk, no memory, no such device."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from m6rec_lite.data import Dataset, leave_one_out
from m6rec_lite.data.bazaar import generate
from m6rec_lite.language.text.tokenizer import Tokenizer
from m6rec_lite.m6rec import M6RecModel
from m6rec_lite.m6rec import pretraining as command
from m6rec_lite.m6rec.documents import pretraining_corpora
from m6rec_lite.m6rec.pretraining import Pretraining, main, pretrain
from m6rec_lite.m6rec.token_file import TokenFile
from m6rec_lite.training import DiskFullError, OutOfMemoryError, checkpoints
from m6rec_lite.training.metrics import Metrics

SETTINGS: dict[str, Any] = {"size": "nano", "steps": 16, "lines": 4, "vocab_size": 600}


@pytest.fixture(scope="module")
def world() -> Dataset:
    return generate(users=60, items=80, seed=3)


def run(folder: Path, world: Dataset, **changes: Any) -> M6RecModel:
    settings = Pretraining(**SETTINGS | {"validations": 1} | changes)
    options = {"dataset": world, "device": "cpu", "ngrams": False, "progress": False}
    return pretrain(settings, folder, **options)[0]


class Tells(Metrics):
    """Tells the run to end after its ninth step."""

    def step(self, run: Any) -> None:
        super().step(run)
        if run.step == 9:
            os.kill(os.getpid(), signal.SIGTERM)


def test_a_full_disk_leaves_the_last_checkpoint_and_says_what_to_do(
    world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", world)
    with monkeypatch.context() as patched:
        patched.setattr(command, "Metrics", Tells)
        with pytest.raises(SystemExit, match="143"):
            run(tmp_path / "run", world)

    def full(state: Any, file: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.torch, "save", full)
        with pytest.raises(DiskFullError, match=r"step-00000009 is whole; .*free some room there"):
            run(tmp_path / "run", world)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").glob("step-*"))
    assert kept == ["step-00000009"]
    model = run(tmp_path / "run", world)
    for (name, one), other in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_too_little_memory_is_reported_before_any_work(
    world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "free_bytes", lambda device: 120e6)
    said = "needs about .* GB, and cpu has 0.12 GB free. The largest size that fits so is nano"
    with pytest.raises(OutOfMemoryError, match=said) as caught:
        run(tmp_path / "run", world, size="tiny", lines=16)
    assert "What would fit: --size nano; " in str(caught.value)
    match = re.search(r"--lines (\d+) --accumulate (\d+)", str(caught.value))
    assert match is not None
    assert int(match[1]) * int(match[2]) == 16
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(command, "free_bytes", lambda device: 1.0)
    with pytest.raises(OutOfMemoryError, match=r"fits so is none\. Free some"):
        run(tmp_path / "run", world)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")  # two share what is there
    monkeypatch.setattr(command, "free_bytes", lambda device: 120e6)
    with pytest.raises(OutOfMemoryError, match=r"cpu has 0\.06 GB free"):
        run(tmp_path / "run", world, size="tiny", lines=4)
    settings = Pretraining(**SETTINGS | {"steps": 1})
    monkeypatch.setattr(command, "free_bytes", lambda device: 1.0)
    options = {"dataset": world, "device": "cpu", "ngrams": False, "progress": False}
    pretrain(settings, tmp_path / "run", check_memory=False, **options)  # who insists may try


def test_a_device_that_is_not_there_is_reported_by_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        main(["--out", str(tmp_path / "run"), "--device", "cuda"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "device='cuda' was asked for, and this machine has none" in said
    assert "device='cpu'" in said
    assert not (tmp_path / "run").exists()


def test_several_data_sets_make_one_corpus(
    world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = generate(users=60, items=80, seed=4)
    known = {"one": world, "two": other}
    monkeypatch.setattr(command, "load_dataset", known.__getitem__)
    settings = Pretraining(**SETTINGS | {"steps": 2, "data": "one+two"})
    pretrain(settings, tmp_path / "run", device="cpu", ngrams=False, progress=False)
    tokenizer = Tokenizer.load(tmp_path / "run" / "model")
    train = TokenFile(tmp_path / "run" / "tokens" / "train", tokenizer)
    corpora = [pretraining_corpora(each, leave_one_out(each)) for each in known.values()]
    assert len(train) == sum(len(one.train) for each in corpora for one in each.values())
    assert train.about["of"]["data"] == f"{world.name}+{other.name}"
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    hashes = [leave_one_out(each).hash for each in known.values()]
    assert report["split"] == "+".join(hashes)
    (tmp_path / "a+b").mkdir()
    assert Pretraining(data=str(tmp_path / "a+b")).names == [str(tmp_path / "a+b")]  # one folder


def test_a_nan_loss_stops_names_the_step_and_keeps_the_last_good_state(
    world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    whole = run(tmp_path / "whole", world)
    with monkeypatch.context() as patched:
        patched.setattr(command, "Metrics", Tells)
        with pytest.raises(SystemExit, match="143"):
            run(tmp_path / "run", world)

    class Diverges(command.PretrainingLoss):
        n_calls = 0

        def __call__(self, model: M6RecModel, batch: Any) -> Any:
            type(self).n_calls += 1
            value, logs = super().__call__(model, batch)
            return (value * torch.nan if self.n_calls == 3 else value), logs

    words = ["--out", str(tmp_path / "run"), "--device", "cpu", "--no-ngrams", "--quiet"]
    for name, value in (SETTINGS | {"validations": 1}).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    with monkeypatch.context() as patched:
        patched.setattr(command, "PretrainingLoss", Diverges)
        with pytest.raises(SystemExit, match="2"):
            main(words)
    said = capsys.readouterr().err
    assert "the loss became nan by step 12" in said
    assert "step-00000009 is whole" in said
    assert not (tmp_path / "run" / "model").exists()
    model = run(tmp_path / "run", world)
    for (name, one), other in zip(model.named_parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other), name
