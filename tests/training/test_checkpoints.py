"""Checkpoints: complete, all or nothing, and refused where they do not belong."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from m6rec_lite.data.files import seal
from m6rec_lite.nn import cosine, warm_up
from m6rec_lite.training import (
    Callback,
    CheckpointError,
    Checkpoints,
    DiskFullError,
    EarlyStopping,
    ReduceOnPlateau,
    RowBatches,
    checkpoints,
    fit,
    load_weights,
)


def data() -> RowBatches:
    x = torch.arange(96, dtype=torch.float32).reshape(24, 4).sin()
    return RowBatches(x, x.sum(1, keepdim=True), batch_size=4)  # 6 batches an epoch


def loss(model, batch):
    return ((model(batch[0]) - batch[1]) ** 2).mean()


class Cut(Callback):
    """Breaks a run off after some steps, as a power cut would."""

    def __init__(self, after: int | None) -> None:
        self.after = after

    def step(self, run):
        if run.step == self.after:
            raise InterruptedError


def train(folder, *, cut=None, width=6, lr=0.03, momentum=0.9, callbacks=(), **settings_):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, width), nn.Dropout(0.3), nn.Linear(width, 1))
    settings_ = {"epochs": 3, "progress": False, "clip_norm": 1.0, **settings_}
    if isinstance(folder, (str, Path)):
        folder = Checkpoints(folder, steps=2)
    settings_.setdefault("optimizer", torch.optim.SGD(model.parameters(), lr, momentum=momentum))
    history = fit(
        model,
        settings_.pop("batches", data()),
        loss,
        checkpoint=folder,
        callbacks=[*callbacks, Cut(cut)],
        **settings_,
    )
    return model, history


def with_state():
    return [
        EarlyStopping("loss", patience=1),
        ReduceOnPlateau("loss", patience=0, threshold=0.5, factor=0.5),
    ]


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    cuts=st.lists(st.integers(1, 17), min_size=1, max_size=3),
    every=st.integers(1, 7),
    accumulate=st.integers(1, 4),
    steps=st.sampled_from([None, 5, 13]),
)
def test_a_run_cut_off_after_any_step_ends_as_one_never_cut(
    tmp_path_factory, cuts, every, accumulate, steps
):
    folder = tmp_path_factory.mktemp("run")
    length = {"epochs": None, "steps": steps} if steps else {"epochs": 3}
    options = {"accumulate": accumulate, "schedule": warm_up(4, then=cosine(12)), **length}
    untouched, wanted = train(None, callbacks=with_state(), **options)
    for cut in cuts:
        try:
            train(Checkpoints(folder, steps=every), cut=cut, callbacks=with_state(), **options)
        except InterruptedError:
            continue
        break
    ours, result = train(Checkpoints(folder, steps=every), callbacks=with_state(), **options)
    assert same(ours, untouched)
    assert result.frame().drop(columns="seconds").equals(wanted.frame().drop(columns="seconds"))
    assert result.stopped == wanted.stopped


def test_a_finished_run_started_again_trains_no_more_and_a_longer_one_goes_on(tmp_path):
    first, short = train(tmp_path / "run", epochs=2)
    steps = []

    class Count(Callback):
        def step(self, run):
            steps.append(run.step)

    again, history = train(tmp_path / "run", epochs=2, callbacks=[Count()])
    assert steps == []
    assert same(first, again)
    assert history.records == short.records
    longer, _ = train(tmp_path / "run", epochs=4, callbacks=[Count()])
    assert steps == list(range(13, 25))
    assert same(longer, train(None, epochs=4)[0])


def test_a_run_that_stopped_early_and_is_started_again_stays_stopped(tmp_path):
    class Scores(Callback):
        def epoch(self, run, record):
            record["score"] = float(record["epoch"] != 2)  # lowest in the second epoch

    callbacks = [Scores(), EarlyStopping("score", patience=1)]
    first, history = train(tmp_path / "run", callbacks=callbacks, epochs=9)
    assert len(history) == 4
    assert same(first, train(None, epochs=2)[0]), "the weights of the second epoch"
    callbacks = [Scores(), EarlyStopping("score", patience=1)]
    again, result = train(tmp_path / "run", callbacks=callbacks, epochs=9)
    assert (result.records, result.stopped) == (history.records, history.stopped)
    assert same(again, first)


def test_a_checkpoint_may_be_read_by_everyone_and_the_last_few_are_kept(tmp_path):
    saves = Checkpoints(tmp_path / "run", steps=4, keep=3)
    train(saves, config={"dataset": "bazaar"})
    assert [path.name for path in saves.paths()] == [f"step-{n:08d}" for n in (12, 16, 18)]
    about = json.loads((saves.paths()[1] / "about.json").read_text())
    assert (about["step"], about["epoch"], about["position"]) == (16, 2, 4)
    assert about["configuration"]["config"] == {"dataset": "bazaar"}
    assert about["configuration"]["optimizer"]["groups"][0]["momentum"] == 0.9
    there = {path.name for path in (tmp_path / "run").iterdir()} - {".lock"}
    assert there == {p.name for p in saves.paths()}


def test_checkpoints_are_written_by_the_clock(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 50))  # seconds: each look at it is 50 later
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: next(clock))
    written = []
    write = checkpoints.write_checkpoint
    monkeypatch.setattr(
        checkpoints,
        "write_checkpoint",
        lambda path, *a: (written.append(path.name), write(path, *a)),
    )
    train(Checkpoints(tmp_path / "run", minutes=3.0), epochs=2)
    assert [int(name[-2:]) for name in written] == [4, 8, 12]


def test_the_weights_alone_can_be_taken_over(tmp_path):
    trained, _ = train(tmp_path / "run")
    fresh = nn.Sequential(nn.Linear(4, 6), nn.Dropout(0.3), nn.Linear(6, 1))
    load_weights(tmp_path / "run", fresh)
    assert same(fresh, trained)
    load_weights(tmp_path / "run" / "step-00000016", fresh)
    assert not same(fresh, trained)
    with pytest.raises(CheckpointError, match="is of another model"):
        load_weights(
            tmp_path / "run", nn.Sequential(nn.Linear(4, 5), nn.Dropout(), nn.Linear(5, 1))
        )
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        load_weights(tmp_path / "elsewhere", fresh)


# ---- what is refused

COMMON = {"config": {"data": "a"}, "schedule": warm_up(4)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A whole run that no test changes."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(folder, **COMMON)
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 7}, r"model.0.weight: 'float32 \(6, 4\)' in the checkpoint, 'float32 \(7, 4\)'"),
        ({"lr": 0.1}, "optimizer.groups.0.lr: 0.03 in the checkpoint, 0.1 now"),
        ({"momentum": 0.5}, "optimizer.groups.0.momentum: 0.9 in the checkpoint, 0.5 now"),
        ({"seed": 1}, "seed: 0 in the checkpoint, 1 now"),
        ({"accumulate": 2}, "accumulate: 1 in the checkpoint, 2 now"),
        ({"clip_norm": None}, "clip_norm: 1.0 in the checkpoint, None now"),
        ({"precision": "bf16"}, "precision: 'fp32' in the checkpoint, 'bf16' now"),
        ({"schedule": warm_up(5)}, r"schedule: \[.*\] in the checkpoint, \[.*\] now"),
        ({"schedule": None}, r"schedule: \[.*\] in the checkpoint, None now"),
        ({"config": {"data": "b"}}, "config.data: 'a' in the checkpoint, 'b' now"),
        ({"config": {}}, "config.data: 'a' in the checkpoint, absent now"),
        ({"callbacks": with_state()}, "callbacks.0.class: absent in the checkpoint, 'EarlyStop"),
        (
            {"batches": RowBatches(torch.ones(24, 4), torch.ones(24, 1), batch_size=4)},
            "data.first batch: '[0-9a-f]{12}' in the checkpoint, '[0-9a-f]{12}' now",
        ),
        (
            {"batches": RowBatches(torch.ones(24, 4), torch.ones(24, 1), batch_size=8)},
            "data.batches: 6 in the checkpoint, 3 now",
        ),
    ],
)
def test_another_configuration_is_refused_and_the_fields_named(change, message, finished):
    with pytest.raises(CheckpointError, match="of another configuration") as refused:
        train(finished, **(COMMON | change))
    assert re.search(message, str(refused.value)), refused.value
    assert len(Checkpoints(finished).paths()) == 2, "nothing saved is lost"


@pytest.fixture
def damaged(finished, tmp_path) -> Path:
    """A copy of a run with undamaged checkpoints."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def spoil(path: Path, how: str) -> None:
    if how == "cut off":
        os.truncate(path / "state.pt", (path / "state.pt").stat().st_size // 2)
    elif how == "empty":
        os.truncate(path / "state.pt", 0)
    elif how == "one bit":
        content = bytearray((path / "state.pt").read_bytes())
        content[len(content) // 2] ^= 4
        (path / "state.pt").write_bytes(content)
    elif how == "gone":
        (path / "state.pt").unlink()
    elif how == "about cut off":
        os.truncate(path / "about.json", 40)
    elif how == "foreign":
        (path / "about.json").write_text('{"format": "of another tool"}')
        seal(path, ["about.json"])
    elif how == "foreign list":
        (path / "about.json").write_text("[1]")
        seal(path, ["about.json"])
    else:
        (path / "about.json").write_text('{"format": "m6rec_lite training 1"}')
        seal(path, ["about.json"])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut off", r"state.pt has [\d,]+ bytes where [\d,]+ were written \(cut off\?\)"),
        ("empty", "state.pt has 0 bytes where"),
        ("one bit", "its checksum differs"),
        ("gone", "no whole checkpoint"),
        ("about cut off", "about.json is damaged"),
        ("foreign", "not of the format 'm6rec_lite training 1'"),
        ("foreign list", "not of the format"),
        ("no seal", "about.json is incomplete"),
    ],
)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_named(damaged, how, message):
    last = damaged / "step-00000018"
    spoil(last, how)
    with pytest.raises(CheckpointError, match=message) as refused:
        train(damaged, **COMMON)
    assert f"The one before, {damaged / 'step-00000016'}, is whole" in str(refused.value)
    assert "delete step-00000018" in str(refused.value)
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    assert same(train(damaged, **COMMON)[0], train(None, **COMMON)[0]), (
        "and so it does go on from there"
    )


def test_where_no_checkpoint_is_whole_that_is_said(damaged):
    for path in Checkpoints(damaged).paths():
        spoil(path, "cut off")
    with pytest.raises(CheckpointError, match="There is no whole one before it"):
        train(damaged, **COMMON)


def test_reading_a_checkpoint_never_runs_code(damaged, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = damaged / "step-00000018"
    about = json.loads((path / "about.json").read_text())
    torch.save({"model": Trap()}, path / "state.pt")
    about["bytes"] = (path / "state.pt").stat().st_size
    about["sha256"] = checkpoints.file_hash(path / "state.pt")
    (path / "about.json").write_text(json.dumps(about))
    seal(path, ["about.json"])
    with pytest.raises(Exception, match=r"(?i)weights.only|unsupported"):
        train(damaged, **COMMON)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_holds_a_run_is_not_begun_anew(damaged):
    with pytest.raises(FileExistsError, match=r"holds a run \(step-00000018\); pass resume=True"):
        train(damaged, resume=False)
    train(damaged.parent / "other", resume=False)


def test_a_full_disk_leaves_the_checkpoints_before_it(damaged, monkeypatch):
    def full(state, file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    said = (
        r"No space left on device: .*step-\d+ could not be written.*step-00000018 is whole; .*free"
    )
    with pytest.raises(DiskFullError, match=said) as caught:
        train(damaged, epochs=5, **COMMON)
    assert caught.value.errno == 28
    assert [path.name[-2:] for path in Checkpoints(damaged).paths()] == ["16", "18"]
    assert not list(damaged.glob(".step-*"))
    monkeypatch.undo()
    assert same(train(damaged, epochs=5, **COMMON)[0], train(None, epochs=5, **COMMON)[0])


def test_a_full_disk_is_known_behind_what_torch_says_of_it(tmp_path, monkeypatch):
    def full(state, file):
        try:
            raise OSError(28, "No space left on device")
        finally:
            raise RuntimeError("unexpected pos 704 vs 598")  # as torch's writer does at its end

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(DiskFullError, match=r"No checkpoint had been written.*free some room"):
        train(tmp_path / "run", **COMMON)
    monkeypatch.undo()

    def broken(state, file):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checkpoints.torch, "save", broken)
    with pytest.raises(OSError, match="Input/output") as caught:
        train(tmp_path / "run", **COMMON)
    assert not isinstance(caught.value, DiskFullError)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"minutes": 0}, "minutes and steps must be above 0"),
        ({"steps": 0}, "minutes and steps must be above 0"),
        ({"keep": 1}, "keep must be at least 2, got 1"),
    ],
)
def test_settings_out_of_range_are_reported(setting, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        Checkpoints(tmp_path, **setting)


def test_a_file_for_a_folder_and_a_configuration_that_is_no_plain_value_are_reported(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="is a file; checkpoints need a folder"):
        train(tmp_path / "file")
    with pytest.raises(TypeError, match="config must hold numbers, texts"):
        train(tmp_path / "run", config={"model": object()})


def test_a_checkpoint_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """What is in the folder is flushed before the rename, and the rename before going on."""
    calls = []
    flush, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), flush(handle))[1])
    monkeypatch.setattr(Path, "rename", lambda a, b: (calls.append("rename"), rename(a, b))[1])
    checkpoints.write_checkpoint(tmp_path / "step-1", {"step": 1}, {})
    assert calls.count("rename") == 1
    assert calls[-2:] == ["rename", "fsync"]
    assert calls.count("fsync") > 3  # at least its two files and its folder came first
