"""What makes a run what it is, as plain values.

A checkpoint goes on exactly only where nothing that shapes the weights has changed. So it carries
a configuration: the model's shapes, the optimizer and its settings, the schedule (by its values),
the data (by the first batch), seed, accumulation, precision, device, processes, the callbacks'
settings and whatever else the caller names. How long to train is not part of it.
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

#: Steps at which a schedule is looked at, to tell it from another.
LOOKED_AT = (0, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10_000, 100_000)


def describe(
    run: Run,
    schedule: Schedule | None,
    first_epoch: Sequence[Any],
    callbacks: Sequence[Callback],
    settings: Mapping[str, Any],
    own: Mapping[str, Any],
) -> dict[str, Any]:
    """The configuration of a run, as JSON would hold it.

    Args:
        run: for its model, optimizer, precision, device and processes.
        schedule: looked at for some steps.
        first_epoch: for its length and the numbers in its first batch.
        callbacks: for the settings of those that have a state.
        settings: of the loop.
        own: what the caller adds.

    Raises:
        TypeError: if the caller's part holds what JSON cannot.
    """
    optimizer = getattr(run.optimizer, "optimizer", run.optimizer)  # without accelerate's wrapper
    groups = []
    for group, rate in zip(optimizer.param_groups, run.base_rates, strict=True):
        kept = {key: _plain(value) for key, value in group.items() if key != "params"}
        groups.append(kept | {"lr": rate, "parameters": len(group["params"])})
    config = {
        "model": {name: _shape(value) for name, value in run.model.state_dict().items()},
        "optimizer": {"class": type(optimizer).__name__, "groups": groups},
        "schedule": [round(schedule(step), 12) for step in LOOKED_AT] if schedule else None,
        "data": {"batches": len(first_epoch), "first batch": fingerprint(first_epoch[0])},
        **settings,
        "precision": run.precision,
        "device": run.accelerator.device.type,
        "processes": run.accelerator.num_processes,
        "callbacks": [
            {"class": type(callback).__name__, **callback.settings()}
            for callback in with_state(callbacks)
        ],
        "config": dict(own),
    }
    try:
        return json.loads(json.dumps(config))
    except TypeError as error:
        raise TypeError(
            "config must hold numbers, texts, lists and dicts of them, so that it can be compared "
            f"with a checkpoint's: {error}"
        ) from error


def _shape(value: Any) -> str:
    if not isinstance(value, torch.Tensor):  # what a module adds by get_extra_state
        return type(value).__name__
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, torch.Tensor) else value
