"""The training loop of all neural models.

It takes a model, batches and a loss::

    def loss(model, batch):
        x, y = batch
        return F.cross_entropy(model(x), y)

    history = fit(
        model, RowBatches(x, y, batch_size=128), loss,
        optimizer=torch.optim.Adam(model.parameters(), lr=1e-3),
        schedule=warm_up(100), epochs=20, validate=lambda model: {"ndcg@10": ...},
        callbacks=[EarlyStopping("ndcg@10", mode="max", patience=5)],
        checkpoint="runs/sasrec",
    )

The same script trains on a CPU, on a GPU, and under ``accelerate launch`` on several GPUs. If it
is killed and started again, it resumes from its last checkpoint and ends with the weights of an
uninterrupted run, bit for bit on CPUs (on a GPU some sums depend on the order of the threads).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.utils import broadcast_object_list, send_to_device
from torch import nn

from m6rec_lite.data.seeds import check_seed
from m6rec_lite.nn.schedules import Schedule
from m6rec_lite.training.batches import Batches
from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.checkpoints import Checkpoints
from m6rec_lite.training.configuration import describe
from m6rec_lite.training.devices import make_accelerator
from m6rec_lite.training.errors import check_gradients, check_loss, memory_advice
from m6rec_lite.training.guard import TimeGuard
from m6rec_lite.training.locks import run_lock_of_all
from m6rec_lite.training.progress import Progress
from m6rec_lite.training.randomness import seeded_generators
from m6rec_lite.training.run import History, Run
from m6rec_lite.training.signals import StopOnSignal

M = TypeVar("M", bound=nn.Module)
#: ``loss(model, batch)``: a scalar to minimise, alone or with a dict of numbers to log.
Loss = Callable[[M, Any], torch.Tensor | tuple[torch.Tensor, Mapping[str, Any]]]

#: Steps between two reads of the loss on a GPU, since a read synchronises; on a CPU every step.
STEPS_BETWEEN_READS = 10


def fit(
    model: M,
    batches: Batches[Any],
    loss: Loss[M],
    *,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    validate: Callable[[M], Mapping[str, float]] | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | Path | Checkpoints | None = None,
    resume: bool = True,
    accumulate: int = 1,
    clip_norm: float | None = None,
    weigh: Callable[[Any], float] | None = None,
    precision: str = "auto",
    device: str | None = None,
    seed: int = 0,
    config: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> History:
    """Train ``model`` in place and leave it on its training device, in ``eval`` mode.

    An optimizer step uses ``accumulate`` batches on each process, fewer at the end of an epoch,
    and minimises the mean of their losses, weighted by ``weigh``.

    Args:
        model: any module.
        batches: see ``m6rec_lite.training.batches``.
        loss: ``loss(model, batch)`` returns a scalar to minimise, a mean over the batch, alone or
            with a dict of numbers to log, of the same names for every batch. It receives ``model``
            itself, with all its attributes, and runs under mixed precision if that is on.
        optimizer: over the model's parameters; its rate is restored when the run ends.
        schedule: factor of the optimizer's rate at step t (``m6rec_lite.nn.schedules``).
        epochs: passes over the data; pass this or ``steps``.
        steps: optimizer steps; pass this or ``epochs``.
        validate: called after each epoch and at the end, on the first process, in ``eval`` mode
            and without gradients; its results are added to the record.
        callbacks: called in this order.
        checkpoint: folder of the checkpoints, written every five minutes, at the end, and when
            Ctrl-C or SIGTERM interrupts the run; or ``Checkpoints`` for another interval. Only one
            run at a time may use it.
        resume: continue from the last checkpoint in the folder, if there is one.
        accumulate: batches per optimizer step, on each process.
        clip_norm: largest norm of the gradient; longer gradients are scaled down to it.
        weigh: weight of a batch, such as its number of targets, so that several small batches
            give the gradient of one large batch; 1 by default.
        precision: see ``m6rec_lite.training.devices``.
        device: see ``m6rec_lite.training.devices``.
        seed: seed of the order of the data and of dropout (not of the model's initial weights).
        config: further values that affect the weights: a checkpoint with other values is refused.
        progress: show a progress bar and an estimate of the duration.

    Raises:
        ValueError: if a setting is out of range.
        CheckpointError: if the last checkpoint is damaged or of another configuration, or another
            run is using the folder.
        Interrupted: after Ctrl-C or SIGTERM, once a run with a checkpoint folder has written its
            checkpoint; in a notebook Ctrl-C raises ``KeyboardInterrupt``.
        DivergenceError: if the loss, a gradient or a weight is NaN or infinite. On a CPU the step
            is not taken, so the model keeps its last finite weights; on a GPU, where the loss is
            read every ``STEPS_BETWEEN_READS`` steps, the last checkpoint has them.
        OutOfMemoryError: if a step does not fit in memory.
    """
    _check(epochs, steps, accumulate, clip_norm)
    seed = check_seed(seed)
    accelerator = make_accelerator(device, precision)
    base_rates = [float(group["lr"]) for group in optimizer.param_groups]
    module = accelerator.prepare_model(_ModelAndLoss(model, loss))
    prepared = accelerator.prepare_optimizer(optimizer)
    if accelerator.scaler is not None:  # only float16 needs the wrapper, for scaled gradients;
        optimizer = prepared  # without it a step is a quarter of a millisecond faster
    first_epoch = _plan(batches, seed, 0)
    per_step = accumulate * accelerator.num_processes
    total = steps or (epochs or 0) * -(-len(first_epoch) // per_step)
    run = Run(model, optimizer, accelerator, base_rates, total_steps=total)
    if progress and accelerator.is_main_process:
        callbacks = [Progress(), TimeGuard(), *callbacks]
    saves, signals = None, StopOnSignal()
    if checkpoint is not None:
        callbacks = [*callbacks, signals]
        saves = checkpoint if isinstance(checkpoint, Checkpoints) else Checkpoints(checkpoint)
        settings = {"seed": seed, "accumulate": accumulate, "clip_norm": clip_norm}
        saves.configuration = describe(
            run, schedule, first_epoch, callbacks, settings, config or {}
        )

    with ExitStack() as stack:
        stack.enter_context(seeded_generators(seed, accelerator.process_index, accelerator.device))
        if saves is not None:
            stack.enter_context(run_lock_of_all(saves.folder, accelerator.is_main_process))
            saves.restore(run, callbacks, resume)
        try:
            for callback in callbacks:
                callback.start(run)
            run.start_clock()
            plan: Sequence[Any] = ()
            while not run.stopping and (run.step < steps if steps else run.epoch < (epochs or 0)):
                if not plan or not run.position:
                    plan = _plan(batches, seed, run.epoch)
                    module.train()
                group = range(run.position, min(run.position + per_step, len(plan)))
                run.set_rates(schedule(run.step) if schedule else 1.0)
                with memory_advice(run, accumulate):
                    _step(run, module, plan, group, weigh, clip_norm)
                run.step, run.position = run.step + 1, group.stop
                for callback in callbacks:
                    callback.step(run)
                if run.position == len(plan):
                    _end_epoch(run, validate, callbacks)
                    run.next_epoch()
                if saves is not None and signals.due(run):
                    saves.save(run, callbacks)
                    signals.interrupt(run)
                if saves is not None and saves.due(run):
                    saves.save(run, callbacks)
            if saves is not None:
                saves.save(run, callbacks)
            if run.position:  # the run ends within an epoch: evaluate it too
                _end_epoch(run, validate, callbacks)
        finally:
            for callback in callbacks:
                callback.end(run)
            run.rate_scale = 1.0
            run.set_rates(1.0)
            model.eval()
    run.history.stopped = run.stopping
    return run.history


def _step(
    run: Run,
    module: nn.Module,
    plan: Sequence[Any],
    group: range,
    weigh: Callable[[Any], float] | None,
    clip_norm: float | None,
) -> None:
    """Take one optimizer step on the weighted mean of the losses of a group of batches.

    The processes take the batches of the group in turn. A process without a batch, at the end of
    an epoch, uses the first batch of the group with weight 0, since all must sum gradients.
    """
    accelerator = run.accelerator
    n_processes, device = accelerator.num_processes, accelerator.device
    batches = [plan[i] for i in group[accelerator.process_index :: n_processes]]
    weights = [_weight(weigh, batch) for batch in batches]
    total = float(len(group)) if weigh is None else sum(weights, start=0.0)
    if weigh is not None and n_processes > 1:
        total = accelerator.reduce(torch.tensor(total, device=device), "sum")
    if not batches:
        batches, weights = [plan[group[0]]], [0.0]

    read_loss = device.type == "cpu" or run.step % STEPS_BETWEEN_READS == 0
    for i, (batch, weight) in enumerate(zip(batches, weights, strict=True), 1):
        with nullcontext() if i == len(batches) else accelerator.no_sync(module):
            value, logs = module(send_to_device(batch, device, non_blocking=True))
            run.add({**logs, "loss": value}, weight)
            if read_loss:
                run.loss = check_loss(run, float(value.detach()), clip_norm, batch)
            # Gradients are averaged over the processes; the factor n_processes makes them sums.
            accelerator.backward(value * (weight * n_processes / total))
    if read_loss and accelerator.scaler is None:  # the scaler of float16 leaves such steps out
        check_gradients(run)
    if clip_norm is not None:
        accelerator.clip_grad_norm_(module.parameters(), clip_norm)
    run.optimizer.step()
    run.optimizer.zero_grad()


def _end_epoch(
    run: Run,
    validate: Callable[[Any], Mapping[str, float]] | None,
    callbacks: Sequence[Callback],
) -> None:
    """Validate, append the epoch's record and pass it to the callbacks."""
    record = run.means()
    record |= {"epoch": run.epoch + 1, "step": run.step, "lr": run.lr}
    record |= {"seconds": run.stop_clock()}
    for callback in callbacks:
        callback.validation_start(run)
    if validate is not None:
        results: list[dict[str, float]] = [{}]
        if run.accelerator.is_main_process:
            run.model.eval()
            with torch.no_grad():
                results = [{name: float(value) for name, value in validate(run.model).items()}]
        validation: dict[str, float] = broadcast_object_list(results)[0]
        if common := record.keys() & validation.keys():
            raise ValueError(
                f"validate returned {', '.join(sorted(common))}, which the "
                "record holds already: give it another name, such as 'validation loss'"
            )
        record |= validation
    run.history.records.append(record)
    for callback in callbacks:
        callback.epoch(run, record)
    for callback in callbacks:
        callback.validation_end(run)


class _ModelAndLoss(nn.Module):
    """A model and its loss as one module, so that accelerate wraps both."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, batch: Any) -> tuple[torch.Tensor, Mapping[str, Any]]:
        output = self.loss(self.model, batch)
        value, logs = output if isinstance(output, tuple) else (output, {})
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            got = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise TypeError(
                f"loss(model, batch) must give a tensor of one number, such as a mean; got {got}"
            )
        return value.squeeze(), logs


def _plan(batches: Batches[Any], seed: int, epoch: int) -> Sequence[Any]:
    plan = batches.epoch(seed, epoch)
    if not len(plan):
        raise ValueError(f"epoch {epoch + 1} has no batches: there is nothing to train on")
    return plan


def _weight(weigh: Callable[[Any], float] | None, batch: Any) -> float:
    weight = 1.0 if weigh is None else float(weigh(batch))
    if not 0 < weight < float("inf"):
        raise ValueError(f"weigh(batch) must be above 0 and finite, got {weight!r}")
    return weight


def _check(epochs: int | None, steps: int | None, accumulate: int, clip_norm: float | None) -> None:
    if (epochs is None) == (steps is None):
        raise ValueError(f"pass epochs or steps, one of them; got {epochs!r} and {steps!r}")
    if (epochs or steps or 0) < 1 or accumulate < 1:
        raise ValueError(
            "epochs or steps, and accumulate, must be at least 1; got "
            f"{epochs if steps is None else steps!r} and {accumulate!r}"
        )
    if clip_norm is not None and not clip_norm > 0:
        raise ValueError(f"clip_norm must be above 0 (or None to leave it), got {clip_norm!r}")
