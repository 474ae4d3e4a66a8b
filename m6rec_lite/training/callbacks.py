"""What may happen beside training: early stopping, a rate that falls on a plateau, and your own.

A callback overrides the hooks it wants. They are called on every process of a run, with the same
records on each, so all processes decide alike. What a callback must remember over an interruption
it returns from ``state`` and takes back in ``load``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from m6rec_lite.nn.schedules import Plateau

if TYPE_CHECKING:
    from m6rec_lite.training.run import Run


class Callback:
    """Base of the callbacks: every hook does nothing."""

    def start(self, run: Run) -> None:
        """Before the first step, or before the first one after an interruption."""

    def step(self, run: Run) -> None:
        """After each step of the optimizer."""

    def judging(self, run: Run) -> None:
        """Before validation: other weights than those trained may be put in the model."""

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """After each epoch, with its line of the history; the model is as it was judged."""

    def judged(self, run: Run) -> None:
        """After every callback's ``epoch``: what ``judging`` put in the model goes out again."""

    def end(self, run: Run) -> None:
        """After the last step, also where an error ended the run."""

    def settings(self) -> dict[str, Any]:
        """Of a callback that has a ``state``: what a checkpoint of the run must agree on."""
        return {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold: tensors, numbers, texts, and lists and dicts of them.

        A callback that leaves this alone only looks on; it may come and go between runs.
        """
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` returned."""


def with_state(callbacks: Sequence[Callback]) -> list[Callback]:
    """The callbacks that a checkpoint holds: those that say what their state is."""
    return [callback for callback in callbacks if type(callback).state is not Callback.state]


class _Watcher(Callback):
    """A callback that follows one number of the records.

    Args:
        watch: its name, such as ``"loss"`` or one that ``validate`` returns.
        mode: ``"min"`` if lower is better, ``"max"`` if higher is.

    Raises:
        ValueError: if the mode is neither.
    """

    def __init__(self, watch: str, mode: str) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"mode must be 'min' (lower is better) or 'max', got {mode!r}")
        self.watch = watch
        self.mode = mode

    def read(self, record: dict[str, float]) -> float:
        """The number, turned so that lower is better."""
        if self.watch not in record:
            raise KeyError(
                f"{type(self).__name__} watches {self.watch!r}, and the records hold "
                f"{', '.join(sorted(record))}; let validate return it"
            )
        value = float(record[self.watch])
        if math.isnan(value):
            raise ValueError(f"{self.watch} is NaN in epoch {record['epoch']}: nothing to go by")
        return value if self.mode == "min" else -value


class EarlyStopping(_Watcher):
    """Ends a run once a number has stopped getting better, and brings the best weights back.

    Source: Prechelt, *Early stopping, but when?*, 1998.

    Args:
        watch: a name in the records.
        mode: ``"min"`` or ``"max"``.
        patience: epochs without a new best that are borne, 0 or more.
        by: a new best must be better by more than this.

    Attributes:
        best: the best value; None before the first epoch.
        best_epoch: the epoch it came from, counted from 1.

    Raises:
        ValueError: on a setting out of range.
    """

    def __init__(
        self, watch: str = "loss", *, mode: str = "min", patience: int = 5, by: float = 0.0
    ) -> None:
        super().__init__(watch, mode)
        if patience < 0 or by < 0:
            raise ValueError(f"patience and by must be 0 or more, got {patience!r} and {by!r}")
        self.patience = patience
        self.by = by
        self._forget()

    def _forget(self) -> None:
        self.best_epoch, self.waited = 0, 0
        self._lowest = math.inf
        self._weights: dict[str, torch.Tensor] = {}

    @property
    def best(self) -> float | None:
        """The best value, as the records hold it."""
        if not self.best_epoch:
            return None
        return self._lowest if self.mode == "min" else -self._lowest

    def start(self, run: Run) -> None:
        """Forget an earlier run."""
        if run.step == 0:
            self._forget()

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Keep the weights if they are the best so far; end the run if patience is over."""
        value = self.read(record)
        if value < self._lowest - self.by:
            self._lowest, self.best_epoch, self.waited = value, int(record["epoch"]), 0
            kept = run.model.state_dict()
            self._weights = {name: value.detach().cpu().clone() for name, value in kept.items()}
        else:
            self.waited += 1
        if self.waited > self.patience:
            run.stopping = (
                f"{self.watch} has not got better for {self.waited} epochs; best {self.best:.6g} "
                f"in epoch {self.best_epoch}"
            )

    def end(self, run: Run) -> None:
        """Give the model its best weights."""
        if self._weights:
            run.model.load_state_dict(self._weights)

    def settings(self) -> dict[str, Any]:
        """What decides when to stop."""
        return {key: getattr(self, key) for key in ("watch", "mode", "patience", "by")}

    def state(self) -> dict[str, Any]:
        """The best so far, weights included."""
        return {
            "lowest": self._lowest,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "weights": self._weights,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take the best so far back."""
        self._lowest, self.best_epoch = state["lowest"], state["best_epoch"]
        self.waited, self._weights = state["waited"], state["weights"]


class ReduceOnPlateau(_Watcher):
    """Multiplies the learning rate by ``factor`` once a number has stopped getting better.

    The rule is ``m6rec_lite.nn.schedules.Plateau``'s (and torch's ``ReduceLROnPlateau``), asked
    once an epoch; it acts on top of the schedule.

    Args:
        watch: a name in the records, of values above 0.
        mode: ``"min"`` or ``"max"``.
        factor: in (0, 1).
        patience: epochs without progress that are borne, 0 or more.
        threshold: relative progress that counts.
        lowest: the least share of the rate, in [0, 1].

    Raises:
        ValueError: on a setting out of range.
    """

    def __init__(
        self,
        watch: str = "loss",
        *,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 2,
        threshold: float = 1e-4,
        lowest: float = 0.0,
    ) -> None:
        super().__init__(watch, mode)
        if not 0 <= lowest <= 1:
            raise ValueError(
                f"lowest is a share of the rate and must be in [0, 1], got {lowest!r}; for a least "
                "rate pass it divided by the optimizer's rate"
            )
        self.given = {
            "factor": factor,
            "patience": patience,
            "threshold": threshold,
            "lowest": lowest,
        }
        self._plateau = Plateau(_Rate(), **self.given)  # also checks the settings

    def start(self, run: Run) -> None:
        """Forget an earlier run."""
        if run.step == 0:
            self._plateau = Plateau(_Rate(), **self.given)

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Tell the plateau; the rate changes from the next step on."""
        value = self.read(record)
        if self.mode == "max":  # the rule wants losses above 0: of x and y, 1/x < 1/y if x > y
            value = 1 / -value if value < 0 else math.inf
        before = self._plateau.optimizer.lr
        run.rate_scale *= self._plateau.update(value) / before

    def settings(self) -> dict[str, Any]:
        """What decides the rate."""
        return {"watch": self.watch, "mode": self.mode, **self.given}

    def state(self) -> dict[str, Any]:
        """Where the plateau stands."""
        rule = self._plateau
        return {"lr": rule.optimizer.lr, "best": rule.best, "waited": rule.waited}

    def load(self, state: dict[str, Any]) -> None:
        """Go back to where the plateau stood."""
        rule = self._plateau
        rule.optimizer.lr, rule.best, rule.waited = state["lr"], state["best"], state["waited"]


class _Rate:
    """What ``Plateau`` turns down: a share that starts at 1."""

    lr = 1.0
