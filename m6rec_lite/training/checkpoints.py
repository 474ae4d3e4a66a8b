"""Checkpoints: everything a run needs to go on as if it had never stopped, written all or nothing.

A checkpoint is a folder, such as ``step-00001200``, with ``about.json`` (what it is of, to be read
by anybody) and ``state.pt`` (tensors, by ``torch.save``). It is written under another name, flushed
to disk and renamed: a crash at any moment leaves the checkpoints before it, and never half of one.
Reading never runs code (``weights_only``), and a damaged file is found by its checksum.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

from m6rec_lite.data.files import damage, file_hash, new_folder, seal
from m6rec_lite.data.run_config import setting_differences
from m6rec_lite.training.callbacks import Callback, with_state
from m6rec_lite.training.errors import CheckpointError, check_weights, disk_advice
from m6rec_lite.training.randomness import random_state, set_random_state
from m6rec_lite.training.run import History, Run

FORMAT = "m6rec_lite training 1"

#: On several processes the clock is compared only every so many steps, since all must agree.
STEPS_BETWEEN_LOOKS = 10


class Checkpoints:
    """A folder of checkpoints, and when to write them.

    Args:
        folder: made if it is missing.
        minutes: write after so many minutes.
        steps: write after so many steps instead.
        keep: how many to keep, at least 2, so that one is left should the last be damaged later.

    Raises:
        ValueError: on a setting out of range.
        NotADirectoryError: if ``folder`` is a file.
    """

    def __init__(
        self, folder: str | Path, *, minutes: float = 5.0, steps: int | None = None, keep: int = 2
    ) -> None:
        if minutes <= 0 or (steps is not None and steps < 1):
            raise ValueError(f"minutes and steps must be above 0, got {minutes!r} and {steps!r}")
        if keep < 2:
            raise ValueError(f"keep must be at least 2, got {keep!r}")
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(f"{self.folder} is a file; checkpoints want a folder")
        self.minutes = minutes
        self.steps = steps
        self.keep = keep
        self.configuration: dict[str, Any] = {}
        self._written_at = time.monotonic()
        self._written_step = -1

    def paths(self) -> list[Path]:
        """The checkpoints in the folder, oldest first."""
        return sorted(self.folder.glob("step-*"), key=lambda path: (len(path.name), path.name))

    def due(self, run: Run) -> bool:
        """Whether to write now; all processes answer alike."""
        if self.steps is not None:
            return run.step % self.steps == 0
        if run.accelerator.num_processes > 1:
            if run.step % STEPS_BETWEEN_LOOKS and run.position:
                return False
            return broadcast_object_list([self._late()])[0]
        return self._late()

    def _late(self) -> bool:
        return time.monotonic() - self._written_at >= 60 * self.minutes

    def save(self, run: Run, callbacks: Sequence[Callback]) -> None:
        """Write a checkpoint of the run; every process must call this.

        Raises:
            DivergenceError: if a weight is not finite; then nothing is written.
            DiskFullError: if there is no room; what was written before stays.
        """
        if run.step == self._written_step:
            return
        check_weights(run)
        device = run.accelerator.device
        own = {"rng": random_state(device), "sums": {k: v.cpu() for k, v in run.sums.items()}}
        of_all = gather_object([own])  # what differs between processes
        if run.accelerator.is_main_process:
            kept = [callback.state() for callback in with_state(callbacks)]
            path = self.folder / f"step-{run.step:08d}"
            about = {
                "step": run.step,
                "epoch": run.epoch,
                "position": run.position,
                "loss": run.loss,
                "configuration": self.configuration,
            }
            with disk_advice(path, run.saved):
                write_checkpoint(
                    path, about, {**_state(run), "processes": of_all, "callbacks": kept}
                )
            for old in self.paths()[: -self.keep]:
                _remove(old)
        run.saved = str(self.folder / f"step-{run.step:08d}")
        self._written_at, self._written_step = time.monotonic(), run.step

    def restore(self, run: Run, callbacks: Sequence[Callback], resume: bool) -> None:
        """Bring the run to where the newest checkpoint left it, if there is one.

        Raises:
            CheckpointError: if it is damaged, foreign, or of another configuration.
            FileExistsError: if there is one and ``resume`` is off.
        """
        self._written_at, self._written_step = time.monotonic(), -1
        self.folder.mkdir(parents=True, exist_ok=True)
        if run.accelerator.is_main_process:  # the folder is locked: no other run writes in it
            for left_over in self.folder.glob(".step-*"):  # of a run killed while writing
                shutil.rmtree(left_over, ignore_errors=True)
        if not self.paths():
            return
        path = self.paths()[-1]
        if not resume:
            raise FileExistsError(
                f"{self.folder} holds a run ({path.name}); pass resume=True to go on with it, or "
                "another folder to begin anew"
            )
        about, state = read_checkpoint(path)
        self._compare(path, about)
        _load(run, about, state)
        for callback, kept in zip(with_state(callbacks), state["callbacks"], strict=True):
            callback.load(kept)
        run.saved, self._written_step = str(path), run.step

    def _compare(self, path: Path, about: Mapping[str, Any]) -> None:
        found = setting_differences(
            about["configuration"], self.configuration, where="in the checkpoint"
        )
        if found:
            shown = "".join(f"\n  {line}" for line in found[:12])
            more = f"\n  … and {len(found) - 12} more" if len(found) > 12 else ""
            raise CheckpointError(
                f"{path} is of another configuration:{shown}{more}\nGo on with the settings it was "
                "made with, or pass another folder; load_weights(that folder, model) takes over "
                "its weights alone"
            )


def _state(run: Run) -> dict[str, Any]:
    """What all processes have alike."""
    scaler = run.accelerator.scaler
    return {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "scaler": scaler.state_dict() if scaler is not None else None,
        "rate_scale": run.rate_scale,  # the schedule itself is a function of the step
        "history": asdict(run.history),
        "stopping": run.stopping,
        "seconds": run.stop_clock(),
    }


def _load(run: Run, about: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Put a checkpoint's state into a run of the same configuration."""
    accelerator = run.accelerator
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    run.step, run.epoch, run.position = about["step"], about["epoch"], about["position"]
    run.loss, run.seconds, run.stopping = about["loss"], state["seconds"], state["stopping"]
    if run.stopping is not None and run.stopping.startswith("told to end by "):
        run.stopping = None  # how an earlier version noted a signal
    run.rate_scale = state["rate_scale"]
    run.history = History(**state["history"])
    own = state["processes"][accelerator.process_index]
    run.sums = {key: value.to(accelerator.device) for key, value in own["sums"].items()}
    set_random_state(own["rng"], accelerator.device)


def write_checkpoint(path: Path, about: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a checkpoint so that it is there whole or not at all.

    Args:
        path: the folder; it must not exist yet.
        about: what JSON can hold.
        state: what ``torch.save`` can hold and ``weights_only`` reads.
    """
    with new_folder(path) as fresh:
        torch.save(dict(state), fresh / "state.pt")
        size = (fresh / "state.pt").stat().st_size
        sealed = {"bytes": size, "sha256": file_hash(fresh / "state.pt")}
        text = json.dumps({"format": FORMAT, **about, **sealed}, indent=1) + "\n"
        (fresh / "about.json").write_text(text, encoding="utf-8")
        seal(fresh, ["about.json"])


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``write_checkpoint`` wrote, its tensors on the CPU.

    Raises:
        CheckpointError: if the folder is damaged or no checkpoint; it names the whole one before.
    """
    path = Path(path)
    fault = _fault(path)
    if fault:
        raise CheckpointError(f"{path} cannot be used: {fault}. {_before(path)}")
    about = json.loads((path / "about.json").read_text(encoding="utf-8"))
    return about, torch.load(path / "state.pt", map_location="cpu", weights_only=True)


def load_weights(folder: str | Path, model: nn.Module) -> None:
    """Put the weights of a run's newest checkpoint into a model, and nothing else.

    Args:
        folder: of the run, or of one checkpoint.
        model: of the same shapes.

    Raises:
        CheckpointError: if there is no checkpoint, it is damaged, or of another model.
    """
    paths = Checkpoints(folder).paths() or [Path(folder)]
    _, state = read_checkpoint(paths[-1])
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(f"{paths[-1]} is of another model: {error}") from error


def _fault(path: Path) -> str | None:
    """What is wrong with a checkpoint, or None."""
    if path.is_dir() and (fault := damage(path)):
        return fault
    try:
        about = json.loads((path / "about.json").read_text(encoding="utf-8"))
        size = (path / "state.pt").stat().st_size
    except (OSError, ValueError) as error:
        return f"it is no whole checkpoint ({error})"
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        return f"about.json is not of the format {FORMAT!r}"
    if not {"bytes", "sha256", "step", "configuration"} <= about.keys():
        return "about.json is incomplete"
    if size != about["bytes"]:
        return f"state.pt has {size:,} bytes where {about['bytes']:,} were written (cut off?)"
    if file_hash(path / "state.pt") != about["sha256"]:
        return "state.pt is not what was written: its checksum differs"
    return None


def _before(path: Path) -> str:
    """The newest whole checkpoint beside a damaged one, in a sentence that says what to do."""
    older = [other for other in Checkpoints(path.parent).paths() if other.name < path.name]
    whole = next((other for other in reversed(older) if _fault(other) is None), None)
    if whole is None:
        return f"There is no whole one before it in {path.parent}; delete it and begin anew"
    return f"The one before, {whole}, is whole: delete {path.name} and the run goes on from there"


def _remove(path: Path) -> None:
    """Delete a checkpoint so that a kill half-way leaves no half of it under its name."""
    gone = path.rename(path.with_name(f".{path.name}-old"))
    shutil.rmtree(gone, ignore_errors=True)
