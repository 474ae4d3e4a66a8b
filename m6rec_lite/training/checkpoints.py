"""Checkpoints: the complete state of a run, written atomically.

A checkpoint is a folder, such as ``step-00001200``, with ``about.json`` (a readable description)
and ``state.pt`` (tensors, by ``torch.save``). It is written under another name, flushed to disk and
renamed: after a crash at any time the earlier checkpoints remain, and no incomplete one. Reading
never runs code (``weights_only``), and a damaged file is detected by its checksum.
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

#: Several processes must save at the same step; they synchronise only every this many steps.
STEPS_BETWEEN_CHECKS = 10


class Checkpoints:
    """A folder of checkpoints, and the interval at which they are written.

    Args:
        folder: created if it is missing.
        minutes: minutes between two checkpoints.
        steps: steps between two checkpoints, in place of ``minutes``.
        keep: number of checkpoints to keep, at least 2, in case the last one is damaged later.

    Raises:
        ValueError: if a setting is out of range.
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
            raise NotADirectoryError(f"{self.folder} is a file; checkpoints need a folder")
        self.minutes = minutes
        self.steps = steps
        self.keep = keep
        self.configuration: dict[str, Any] = {}
        self._written_at = time.monotonic()
        self._written_step = -1

    def paths(self) -> list[Path]:
        """Return the checkpoints in the folder, oldest first."""
        return sorted(self.folder.glob("step-*"), key=lambda path: (len(path.name), path.name))

    def due(self, run: Run) -> bool:
        """Return whether to write now; the same on all processes."""
        if self.steps is not None:
            return run.step % self.steps == 0
        if run.accelerator.num_processes > 1:
            if run.step % STEPS_BETWEEN_CHECKS and run.position:
                return False
            return broadcast_object_list([self._late()])[0]
        return self._late()

    def _late(self) -> bool:
        return time.monotonic() - self._written_at >= 60 * self.minutes

    def save(self, run: Run, callbacks: Sequence[Callback]) -> None:
        """Write a checkpoint of the run; every process must call this.

        Raises:
            DivergenceError: if a weight is not finite; then nothing is written.
            DiskFullError: if the disk is full; earlier checkpoints remain.
        """
        if run.step == self._written_step:
            return
        check_weights(run)
        device = run.accelerator.device
        local = {"rng": random_state(device), "sums": {k: v.cpu() for k, v in run.sums.items()}}
        processes = gather_object([local])  # the state that differs between processes
        if run.accelerator.is_main_process:
            states = [callback.state() for callback in with_state(callbacks)]
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
                    path, about, {**_state(run), "processes": processes, "callbacks": states}
                )
            for old in self.paths()[: -self.keep]:
                _remove(old)
        run.saved = str(self.folder / f"step-{run.step:08d}")
        self._written_at, self._written_step = time.monotonic(), run.step

    def restore(self, run: Run, callbacks: Sequence[Callback], resume: bool) -> None:
        """Load the newest checkpoint into the run, if there is one.

        Raises:
            CheckpointError: if it is damaged, or of another format or configuration.
            FileExistsError: if there is a checkpoint and ``resume`` is off.
        """
        self._written_at, self._written_step = time.monotonic(), -1
        self.folder.mkdir(parents=True, exist_ok=True)
        if run.accelerator.is_main_process:  # no other run writes: the folder is locked
            for incomplete in self.folder.glob(".step-*"):  # from a run killed while writing
                shutil.rmtree(incomplete, ignore_errors=True)
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
        for callback, saved in zip(with_state(callbacks), state["callbacks"], strict=True):
            callback.load(saved)
        run.saved, self._written_step = str(path), run.step

    def _compare(self, path: Path, about: Mapping[str, Any]) -> None:
        differences = setting_differences(
            about["configuration"], self.configuration, where="in the checkpoint"
        )
        if differences:
            shown = "".join(f"\n  {line}" for line in differences[:12])
            more = f"\n  … and {len(differences) - 12} more" if len(differences) > 12 else ""
            raise CheckpointError(
                f"{path} is of another configuration:{shown}{more}\nGo on with the settings it was "
                "made with, or pass another folder; load_weights(that folder, model) takes over "
                "its weights alone"
            )


def _state(run: Run) -> dict[str, Any]:
    """Return the state that is the same on all processes."""
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
    """Load a checkpoint's state into a run of the same configuration."""
    accelerator = run.accelerator
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    if accelerator.scaler is not None:
        accelerator.scaler.load_state_dict(state["scaler"])
    run.step, run.epoch, run.position = about["step"], about["epoch"], about["position"]
    run.loss, run.seconds, run.stopping = about["loss"], state["seconds"], state["stopping"]
    if run.stopping is not None and run.stopping.startswith("told to end by "):
        run.stopping = None  # written by an earlier version on a signal
    run.rate_scale = state["rate_scale"]
    run.history = History(**state["history"])
    local = state["processes"][accelerator.process_index]
    run.sums = {key: value.to(accelerator.device) for key, value in local["sums"].items()}
    set_random_state(local["rng"], accelerator.device)


def write_checkpoint(path: Path, about: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

    Args:
        path: the folder; it must not exist.
        about: JSON values.
        state: values that ``torch.load`` reads with ``weights_only``.
    """
    with new_folder(path) as fresh:
        with open(fresh / "state.pt", "wb") as file:  # an error of this file has a number
            torch.save(dict(state), file)
        size = (fresh / "state.pt").stat().st_size
        sealed = {"bytes": size, "sha256": file_hash(fresh / "state.pt")}
        text = json.dumps({"format": FORMAT, **about, **sealed}, indent=1) + "\n"
        (fresh / "about.json").write_text(text, encoding="utf-8")
        seal(fresh, ["about.json"])


def read_checkpoint(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return ``about`` and ``state`` of a checkpoint, with its tensors on the CPU.

    Raises:
        CheckpointError: if the folder is damaged or no checkpoint; names the previous intact one.
    """
    path = Path(path)
    fault = _fault(path)
    if fault:
        raise CheckpointError(f"{path} cannot be used: {fault}. {_before(path)}")
    about = json.loads((path / "about.json").read_text(encoding="utf-8"))
    return about, torch.load(path / "state.pt", map_location="cpu", weights_only=True)


def load_weights(folder: str | Path, model: nn.Module) -> None:
    """Load only the weights of a run's newest checkpoint into a model.

    Args:
        folder: folder of the run, or of one checkpoint.
        model: model with parameters of the same shapes.

    Raises:
        CheckpointError: if there is no checkpoint, it is damaged, or it is of another model.
    """
    paths = Checkpoints(folder).paths() or [Path(folder)]
    _, state = read_checkpoint(paths[-1])
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(f"{paths[-1]} is of another model: {error}") from error


def _fault(path: Path) -> str | None:
    """Return a description of the damage of a checkpoint, or None."""
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
    """Return a sentence that names the newest intact checkpoint and says what to do."""
    older = [other for other in Checkpoints(path.parent).paths() if other.name < path.name]
    intact = next((other for other in reversed(older) if _fault(other) is None), None)
    if intact is None:
        return f"There is no whole one before it in {path.parent}; delete it and begin anew"
    return f"The one before, {intact}, is whole: delete {path.name} and the run goes on from there"


def _remove(path: Path) -> None:
    """Rename a checkpoint, then delete it: a kill leaves no incomplete one under its name."""
    renamed = path.rename(path.with_name(f".{path.name}-old"))
    shutil.rmtree(renamed, ignore_errors=True)
