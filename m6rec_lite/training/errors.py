"""Runs that cannot go on say what happened, what to change, and what is safe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from m6rec_lite.data.files import DiskFullError as DiskFullError
from m6rec_lite.data.files import disk_advice as plain_disk_advice
from m6rec_lite.nn.optim import DivergenceError
from m6rec_lite.training.batches import arrays
from m6rec_lite.training.run import Run

#: How torch says on a CPU that memory ran out; there it raises a plain RuntimeError.
NO_MEMORY = re.compile(r"can't allocate memory|not enough memory|out of memory", re.IGNORECASE)


class OutOfMemoryError(MemoryError):
    """A step needs more memory than the device has."""


class CheckpointError(RuntimeError):
    """A checkpoint is damaged, foreign, of another run, or its folder is in use."""


def what_is_safe(run: Run) -> str:
    """A sentence on what an error has not touched."""
    if run.saved is None:
        return "No checkpoint was written: pass checkpoint='runs/name' to keep one"
    return (
        f"Nothing saved is lost: {run.saved} is whole. A run with other settings can begin from "
        "its weights: load_weights(that folder, model)"
    )


@contextmanager
def memory_advice(run: Run, accumulate: int) -> Iterator[None]:
    """Turn torch's errors of memory into one that says what to change.

    Raises:
        OutOfMemoryError: in their place.
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
            f"{what_is_safe(run)}. (torch said: {_first_sentence(error)})"
        ) from error


@contextmanager
def disk_advice(path: Path, saved: str | None) -> Iterator[None]:
    """Turn errors of a full disk into one that says what is safe and what to do.

    Args:
        path: what is being written.
        saved: the newest whole checkpoint, if there is one.

    Raises:
        DiskFullError: in their place; see ``data.files``.
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
    """Stop a run whose loss is no number any more.

    Args:
        run: the run.
        value: the loss of a batch.
        clip_norm: the loop's setting.
        batch: the batch.

    Returns:
        the value, which is finite.

    Raises:
        DivergenceError: if the value is NaN or infinite.
    """
    if np.isfinite(value):
        return value
    spoilt = any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in arrays(batch))
    if spoilt:
        advice = "The batch itself holds NaN or infinite numbers: look at the data"
    else:
        ways = [f"a lower learning rate (now {run.lr:.3g}; try {run.lr / 10:.3g})"]
        ways.append("schedule=warm_up(...) for the first hundred steps or so")
        if clip_norm is None:
            ways.append("clip_norm=1.0")
        if run.precision != "fp32":
            ways.append(f"precision='fp32' (now {run.precision!r})")
        advice = (
            f"Try {', '.join(ways)}; and look for log(0), 0/0 or an attention row whose keys are "
            "all masked in the loss"
        )
    raise DivergenceError(
        f"the loss became {value} by step {run.step + 1}, in epoch {run.epoch + 1}. "
        f"{advice}. {what_is_safe(run)}"
    )


def check_weights(run: Run) -> None:
    """Refuse to save weights that are no numbers, so that the checkpoint before stays the last.

    Raises:
        DivergenceError: naming the parameter.
    """
    for name, weights in run.model.named_parameters():
        if not bool(torch.isfinite(weights).all()):
            raise DivergenceError(
                f"{name} holds NaN or infinite numbers after step {run.step}, though the loss was "
                f"{run.loss:.4g}: its gradient is not finite. Look for sqrt(0), log(0) or 0/0 in "
                f"the loss, and try clip_norm=1.0. {what_is_safe(run)}"
            )
