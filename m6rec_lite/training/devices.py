r"""Where a run computes and in what precision: an ``Accelerator`` made from two plain settings.

``accelerate`` does the work: it finds the device, wraps the model for mixed precision and for
several processes, and adds gradients up between them. ::

    python train.py                                                  # a CPU, or one GPU
    accelerate launch --multi_gpu --num_processes 4 train.py         # four GPUs
    ACCELERATE_USE_CPU=true \
    accelerate launch --multi_gpu --num_processes 2 train.py         # two processes on CPU cores

(The last line is meant as written: ``--cpu`` instead of the variable starts a single process.)
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState, is_initialized
from accelerate.utils import get_int_from_env, parse_flag_from_env, patch_environment

#: Precisions by our name and by accelerate's.
PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


def make_accelerator(device: str | None = None, precision: str = "auto") -> Accelerator:
    """Return the accelerator of a run.

    Accelerate keeps device and precision once for the whole process. Here each run may choose:
    where they differ from those of the last run, the record is cleared first.

    Args:
        device: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` …, or None for the best there is.
            Under ``accelerate launch`` leave it out: the launcher gives each process its device.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"`` (weights stay float32, products are taken
            in 16 bits), or ``"auto"``: bf16 on a GPU that computes in it, fp16 on an older GPU
            of Nvidia, else fp32.

    Raises:
        ValueError: if the precision is unknown, or the device is not there or cannot compute so.
    """
    if precision not in ("auto", *PRECISIONS):
        raise ValueError(
            f"precision must be 'auto', {', '.join(map(repr, PRECISIONS))}, got {precision!r}"
        )
    launched = get_int_from_env(["WORLD_SIZE"], 1) > 1
    if device is not None:
        _check_device(device)
    where = _device(device, launched)
    chosen = _precision(precision, where)
    last = AcceleratorState() if is_initialized() else None
    if last is None or (last.device, last.mixed_precision) != (where, PRECISIONS[chosen]):
        # The one private call: accelerate offers no other way to change its process-wide state.
        AcceleratorState._reset_state(reset_partial_state=not launched)
    with patch_environment(**({} if launched else {"accelerate_torch_device": str(where)})):
        return Accelerator(cpu=where.type == "cpu", mixed_precision=PRECISIONS[chosen])


def _check_device(device: str) -> None:
    kind = torch.device(device).type
    there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
    if kind in there and not there[kind]():
        raise ValueError(
            f"device={device!r} was asked for, and this machine has none that torch can use; "
            "leave device out to take the best there is, or pass device='cpu'"
        )


def _device(device: str | None, launched: bool) -> torch.device:
    """The device of this process."""
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
        raise ValueError("precision='fp16' wants a GPU; on a CPU pass 'fp32', or 'bf16'")
    return precision
