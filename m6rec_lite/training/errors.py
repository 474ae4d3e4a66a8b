"""Errors that end a run, with a message that names the cause, a remedy and the last checkpoint."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils import get_total_norm

from m6rec_lite.data.files import DiskFullError as DiskFullError
from m6rec_lite.data.files import disk_advice as plain_disk_advice
from m6rec_lite.evaluation.memory import OutOfMemoryError as OutOfMemoryError
from m6rec_lite.nn.optim import DivergenceError
from m6rec_lite.training.batches import arrays
from m6rec_lite.training.run import Run

#: Matches torch's out-of-memory messages on a CPU, where it raises a plain RuntimeError.
NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)


class CheckpointError(RuntimeError):
    """A checkpoint is damaged, of another format or run, or its folder is in use."""


def checkpoint_note(run: Run) -> str:
    """Return a sentence that names the last checkpoint."""
    if run.saved is None:
        return "No checkpoint was written: pass checkpoint='runs/name' to keep one"
    return (
        f"Nothing saved is lost: {run.saved} is whole. A run with other settings can begin from "
        "its weights: load_weights(that folder, model)"
    )


@contextmanager
def memory_advice(run: Run, accumulate: int) -> Iterator[None]:
    """Replace torch's out-of-memory errors by one that says what to change.

    Raises:
        OutOfMemoryError: in place of torch's error.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, (torch.OutOfMemoryError, MemoryError))
        if isinstance(error, OutOfMemoryError) or not (known or NO_MEMORY.search(str(error))):
            raise
        device = run.accelerator.device
        full = run.precision == "fp32" and device.type != "cpu"
        half = " Try precision='bf16'." if full else ""
        raise OutOfMemoryError(
            f"out of memory on {device} in step {run.step + 1}. Halve the batch size and pass "
            f"accumulate={2 * accumulate} (now {accumulate}): the gradient stays the same, the "
            f"memory halves.{half} Shorter sequences or a smaller model help too. "
            f"{checkpoint_note(run)}. (torch said: {_first_sentence(error)})"
        ) from error


@contextmanager
def disk_advice(path: Path, saved: str | None) -> Iterator[None]:
    """Replace errors of a full disk by one that names the last checkpoint and says what to do.

    Args:
        path: the file or folder being written.
        saved: the newest complete checkpoint, if there is one.

    Raises:
        DiskFullError: in place of the system's error; see ``data.files``.
    """
    advice = "No checkpoint had been written; start the run again afterwards"
    if saved is not None:
        advice = (
            f"{saved} is whole; start the same run again afterwards, and it goes on from that "
            "checkpoint"
        )
    with plain_disk_advice(path, advice):
        yield


def _first_sentence(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__


def check_loss(run: Run, value: float, clip_norm: float | None, batch: Any) -> float:
    """Return the loss of a batch, or raise if it is not finite.

    Args:
        run: the run.
        value: the loss of the batch.
        clip_norm: setting of the loop.
        batch: searched for values that are not finite.

    Raises:
        DivergenceError: if the value is NaN or infinite.
    """
    if np.isfinite(value):
        return value
    bad_batch = any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in arrays(batch))
    if bad_batch:
        advice = "The batch itself holds NaN or infinite numbers: look at the data"
    else:
        remedies = [f"a lower learning rate (now {run.lr:.3g}; try {run.lr / 10:.3g})"]
        remedies.append("schedule=warm_up(...) for the first hundred steps or so")
        if clip_norm is None:
            remedies.append("clip_norm=1.0")
        if run.precision != "fp32":
            remedies.append(f"precision='fp32' (now {run.precision!r})")
        advice = (
            f"Try {', '.join(remedies)}; and look for log(0), 0/0 or an attention row whose keys "
            "are all masked in the loss"
        )
    raise DivergenceError(
        f"the loss became {value} by step {run.step + 1}, in epoch {run.epoch + 1}. "
        f"{advice}. {checkpoint_note(run)}"
    )


def check_gradients(run: Run) -> None:
    """Refuse an update by gradients that are not finite, so that the weights stay as they were.

    Raises:
        DivergenceError: naming the step and the parameter.
    """
    gradients = {n: w.grad for n, w in run.model.named_parameters() if w.grad is not None}
    if bool(torch.isfinite(get_total_norm(gradients.values()))):
        return
    for name, gradient in gradients.items():
        if not bool(torch.isfinite(gradient).all()):
            raise DivergenceError(
                f"the gradient of {name} holds NaN or infinite numbers in step {run.step + 1}, "
                f"though the loss was {run.loss:.4g}; this step was not taken. Look for sqrt(0), "
                f"log(0) or 0/0 in the loss, and try clip_norm=1.0. {checkpoint_note(run)}"
            )


def check_weights(run: Run) -> None:
    """Refuse to save weights that are not finite, so that the previous checkpoint stays the last.

    Raises:
        DivergenceError: naming the parameter.
    """
    for name, weights in run.model.named_parameters():
        if not bool(torch.isfinite(weights).all()):
            raise DivergenceError(
                f"{name} holds NaN or infinite numbers after step {run.step}, though the loss was "
                f"{run.loss:.4g}: its gradient is not finite. Look for sqrt(0), log(0) or 0/0 in "
                f"the loss, and try clip_norm=1.0. {checkpoint_note(run)}"
            )
