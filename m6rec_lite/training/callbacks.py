"""Callbacks of the training loop: early stopping, a rate that falls on a plateau, and your own.

A callback overrides the hooks it needs. They are called on every process of a run, with the same
records, so that all processes take the same decisions. State that must survive an interruption is
returned by ``state`` and restored by ``load``.
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
    """Base class of the callbacks; every hook does nothing."""

    def start(self, run: Run) -> None:
        """Called before the first step of a new or resumed run."""

    def step(self, run: Run) -> None:
        """Called after each optimizer step."""

    def validation_start(self, run: Run) -> None:
        """Called before validation; may load other weights into the model."""

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Called after each epoch with its record, while the validated weights are loaded."""

    def validation_end(self, run: Run) -> None:
        """Called after every callback's ``epoch``; must undo what ``validation_start`` changed."""

    def end(self, run: Run) -> None:
        """Called after the last step, also if an error ended the run."""

    def settings(self) -> dict[str, Any]:
        """Return the settings that must match a checkpoint; used if there is a ``state``."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint must store: tensors, numbers, texts, lists and dicts of them.

        A callback that does not override this may be added or removed when a run is resumed.
        """
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Restore a state returned by ``state``."""


def with_state(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return the callbacks that override ``state``, which a checkpoint stores."""
    return [callback for callback in callbacks if type(callback).state is not Callback.state]


class _Watcher(Callback):
    """A callback that monitors one number of the records.

    Args:
        watch: the name of the number, such as ``"loss"`` or one that ``validate`` returns.
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
        """Return the number, negated if higher is better."""
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
    """End a run once a number has stopped improving, and restore the best weights.

    Source: Prechelt, *Early stopping, but when?*, 1998.

    Args:
        watch: a name in the records.
        mode: ``"min"`` or ``"max"``.
        patience: number of epochs without a new best before the run ends, 0 or more.
        by: smallest improvement that counts as a new best.

    Attributes:
        best: the best value; None before the first epoch.
        best_epoch: the epoch of the best value, counted from 1.

    Raises:
        ValueError: if a setting is out of range.
    """

    def __init__(
        self, watch: str = "loss", *, mode: str = "min", patience: int = 5, by: float = 0.0
    ) -> None:
        super().__init__(watch, mode)
        if patience < 0 or by < 0:
            raise ValueError(f"patience and by must be 0 or more, got {patience!r} and {by!r}")
        self.patience = patience
        self.by = by
        self._reset()

    def _reset(self) -> None:
        self.best_epoch, self.waited = 0, 0
        self._lowest = math.inf
        self._weights: dict[str, torch.Tensor] = {}

    @property
    def best(self) -> float | None:
        """The best value, as in the records."""
        if not self.best_epoch:
            return None
        return self._lowest if self.mode == "min" else -self._lowest

    def start(self, run: Run) -> None:
        """Discard the state of an earlier run."""
        if run.step == 0:
            self._reset()

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Store the weights if they are the best so far; end the run if patience is exceeded."""
        value = self.read(record)
        if value < self._lowest - self.by:
            self._lowest, self.best_epoch, self.waited = value, int(record["epoch"]), 0
            weights = run.model.state_dict()
            self._weights = {k: w.detach().cpu().clone() for k, w in weights.items()}
        else:
            self.waited += 1
        if self.waited > self.patience:
            run.stopping = (
                f"{self.watch} has not got better for {self.waited} epochs; best {self.best:.6g} "
                f"in epoch {self.best_epoch}"
            )

    def end(self, run: Run) -> None:
        """Load the best weights into the model."""
        if self._weights:
            run.model.load_state_dict(self._weights)

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        return {key: getattr(self, key) for key in ("watch", "mode", "patience", "by")}

    def state(self) -> dict[str, Any]:
        """Return the best value, epoch and weights."""
        return {
            "lowest": self._lowest,
            "best_epoch": self.best_epoch,
            "waited": self.waited,
            "weights": self._weights,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the best value, epoch and weights."""
        self._lowest, self.best_epoch = state["lowest"], state["best_epoch"]
        self.waited, self._weights = state["waited"], state["weights"]


class ReduceOnPlateau(_Watcher):
    """Multiply the learning rate by ``factor`` once a number has stopped improving.

    The rule is ``m6rec_lite.nn.schedules.Plateau`` (torch's ``ReduceLROnPlateau``), updated once
    per epoch; its factor multiplies the schedule.

    Args:
        watch: a name in the records, of values above 0.
        mode: ``"min"`` or ``"max"``.
        factor: in (0, 1).
        patience: number of epochs without improvement before the rate falls, 0 or more.
        threshold: smallest relative improvement that counts.
        lowest: lower bound of the rate as a fraction of the base rate, in [0, 1].

    Raises:
        ValueError: if a setting is out of range.
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
        self.factor, self.patience = factor, patience
        self.threshold, self.lowest = threshold, lowest
        self._plateau = self._new_plateau()  # also checks the settings

    def _new_plateau(self) -> Plateau:
        return Plateau(
            _Rate(),
            factor=self.factor,
            patience=self.patience,
            threshold=self.threshold,
            lowest=self.lowest,
        )

    def start(self, run: Run) -> None:
        """Discard the state of an earlier run."""
        if run.step == 0:
            self._plateau = self._new_plateau()

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Update the plateau; the rate changes from the next step on."""
        value = self.read(record)
        if self.mode == "max":  # the rule needs positive losses: 1/x < 1/y if x > y > 0
            value = 1 / -value if value < 0 else math.inf
        before = self._plateau.optimizer.lr
        run.rate_scale *= self._plateau.update(value) / before

    def settings(self) -> dict[str, Any]:
        """Return the settings."""
        names = ("watch", "mode", "factor", "patience", "threshold", "lowest")
        return {name: getattr(self, name) for name in names}

    def state(self) -> dict[str, Any]:
        """Return the state of the plateau."""
        rule = self._plateau
        return {"lr": rule.optimizer.lr, "best": rule.best, "waited": rule.waited}

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state of the plateau."""
        rule = self._plateau
        rule.optimizer.lr, rule.best, rule.waited = state["lr"], state["best"], state["waited"]


class _Rate:
    """The factor that ``Plateau`` lowers; it starts at 1."""

    lr = 1.0
