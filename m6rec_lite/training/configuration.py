"""The configuration of a run: everything that affects its weights, as plain values.

A run can be resumed exactly only if nothing that affects the weights has changed. A checkpoint
therefore stores a configuration: the model's shapes, the optimizer and its settings, the schedule
(its values at some steps), the data (a hash of the first batch), seed, accumulation, precision,
device, processes, the callbacks' settings and the caller's ``config``. The length of the training
is not part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from m6rec_lite.nn.schedules import Schedule
from m6rec_lite.training.batches import fingerprint
from m6rec_lite.training.callbacks import Callback, with_state
from m6rec_lite.training.run import Run

#: Steps at which the values of two schedules are compared.
SCHEDULE_STEPS = (
    0,
    1,
    2,
    3,
    5,
    10,
    20,
    30,
    50,
    100,
    200,
    300,
    500,
    1000,
    2000,
    5000,
    10_000,
    100_000,
)


def describe(
    run: Run,
    schedule: Schedule | None,
    first_epoch: Sequence[Any],
    callbacks: Sequence[Callback],
    settings: Mapping[str, Any],
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the configuration of a run as JSON values.

    Args:
        run: provides the model, optimizer, precision, device and processes.
        schedule: described by its values at ``SCHEDULE_STEPS``.
        first_epoch: described by its length and a hash of its first batch.
        callbacks: described by the settings of those that have a state.
        settings: settings of the loop.
        config: values added by the caller.

    Raises:
        TypeError: if ``config`` holds values that JSON cannot represent.
    """
    optimizer = getattr(run.optimizer, "optimizer", run.optimizer)  # inside accelerate's wrapper
    groups = []
    for group, rate in zip(optimizer.param_groups, run.base_rates, strict=True):
        options = {key: _plain(value) for key, value in group.items() if key != "params"}
        groups.append(options | {"lr": rate, "parameters": len(group["params"])})
    description = {
        "model": {name: _shape(value) for name, value in run.model.state_dict().items()},
        "optimizer": {"class": type(optimizer).__name__, "groups": groups},
        "schedule": [round(schedule(step), 12) for step in SCHEDULE_STEPS] if schedule else None,
        "data": {"batches": len(first_epoch), "first batch": fingerprint(first_epoch[0])},
        **settings,
        "precision": run.precision,
        "device": run.accelerator.device.type,
        "processes": run.accelerator.num_processes,
        "callbacks": [
            {"class": type(callback).__name__, **callback.settings()}
            for callback in with_state(callbacks)
        ],
        "config": dict(config),
    }
    try:
        return json.loads(json.dumps(description))
    except TypeError as error:
        raise TypeError(
            "config must hold numbers, texts, lists and dicts of them, so that it can be compared "
            f"with a checkpoint's: {error}"
        ) from error


def _shape(value: Any) -> str:
    if not isinstance(value, torch.Tensor):  # from get_extra_state of a module
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, torch.Tensor) else value
