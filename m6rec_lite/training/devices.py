r"""Device and precision of a run: create an ``Accelerator`` from two settings.

``accelerate`` chooses the device, wraps the model for mixed precision and for several processes,
and sums gradients over the processes. ::

    python train.py                                                  # a CPU, or one GPU
    accelerate launch --multi_gpu --num_processes 4 train.py         # four GPUs
    ACCELERATE_USE_CPU=true \
    accelerate launch --multi_gpu --num_processes 2 train.py         # two processes on CPU cores

(In the last line, ``--cpu`` in place of the variable would start a single process.)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState, is_initialized
from accelerate.utils import get_int_from_env, parse_flag_from_env, patch_environment

#: Our names of the precisions and those of accelerate.
PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def make_accelerator(device: str | None = None, precision: str = "auto") -> Accelerator:
    """Return the accelerator of a run.

    Accelerate stores device and precision once per process. Here each run may choose its own:
    where they differ from those of the last run, the stored state is reset first.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` …, or None for the best available.
            Under ``accelerate launch`` leave it out: the launcher gives each process its device.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"`` (weights stay float32, products are computed
            in 16 bits), or ``"auto"``: bf16 on a GPU that supports it, fp16 on an older Nvidia
            GPU, else fp32.

    Raises:
        ValueError: if the precision is unknown, or the device is missing or does not support it.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ValueError(
            f"precision must be 'auto', {', '.join(map(repr, PRECISIONS))}, got {precision!r}"
        )
    launched = get_int_from_env(["WORLD_SIZE"], 1) > 1
    if device is not None:
        _check_device(device)
    target = _device(device, launched)
    chosen = _precision(precision, target)
    last = AcceleratorState() if is_initialized() else None
    if last is None or (last.device, last.mixed_precision) != (target, PRECISIONS[chosen]):
        # The one private call: accelerate offers no other way to change its process-wide state.
        AcceleratorState._reset_state(reset_partial_state=not launched)
    with patch_environment(**({} if launched else {"accelerate_torch_device": str(target)})):
        return Accelerator(cpu=target.type == "cpu", mixed_precision=PRECISIONS[chosen])


def _check_device(device: str) -> None:
    kind = torch.device(device).type
    available: dict[str, Callable[[], bool]] = {
        "cuda": torch.cuda.is_available,
        "mps": torch.backends.mps.is_available,
    }
    if kind in available and not available[kind]():
        raise ValueError(
            f"device={device!r} was asked for, and this machine has none that torch can use; "
            "leave device out to take the best there is, or pass device='cpu'"
        )


def _device(device: str | None, launched: bool) -> torch.device:
    """Return the device of this process."""
    only_cpu = device == "cpu" or parse_flag_from_env("ACCELERATE_USE_CPU")
    if not launched:
        if device is not None or only_cpu:
            return torch.device(device or "cpu")
        return PartialState().default_device
    assigned = PartialState(cpu=only_cpu).device  # also joins the other processes, the first time
    if device is not None and torch.device(device).type != assigned.type:
        raise ValueError(
            f"device={device!r}, but the launcher gave this process {assigned}; leave device out"
        )
    return assigned


def _precision(precision: str, device: torch.device) -> str:
    if precision == "auto":
        if device.type != "cuda":
            return "fp32"
        major, _ = torch.cuda.get_device_capability(device)
        return "bf16" if major >= 8 else "fp16"
    if precision == "fp16" and device.type == "cpu":
        raise ValueError("precision='fp16' needs a GPU; on a CPU pass 'fp32', or 'bf16'")
    return precision
