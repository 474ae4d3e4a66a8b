"""A run that is told to end (SIGTERM, as by a scheduler) writes its checkpoint first."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import torch

from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.run import Run

#: On several processes all must stop at one step; they ask each other every so many.
STEPS_BETWEEN_LOOKS = 10

_TOLD = "told to end by "


class StopOnSignal(Callback):
    """Ends a run after the step in which a signal came; ``fit`` then writes its checkpoint.

    A second signal ends the program at once, as it would without this. A run that goes on from
    that checkpoint goes on. In a thread other than the main one signals cannot be caught, and
    this does nothing.

    Args:
        signals: names, such as ``SIGTERM``; those that the system lacks are left out.

    Attributes:
        received: the name of the signal that came, or None.
    """

    def __init__(self, signals: tuple[str, ...] = ("SIGTERM",)) -> None:
        self.signals = [getattr(signal, name) for name in signals if hasattr(signal, name)]
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def start(self, run: Run) -> None:
        """Catch the signals."""
        self.received = None
        if run.stopping is not None and run.stopping.startswith(_TOLD):
            run.stopping = None  # the run before was ended so; this one goes on
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.signals}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        signal.signal(number, self._before.get(number) or signal.SIG_DFL)

    def step(self, run: Run) -> None:
        """End the run if a signal came."""
        told = self.received is not None
        accelerator = run.accelerator
        if accelerator.num_processes > 1:
            if run.step % STEPS_BETWEEN_LOOKS:
                return
            mine = torch.tensor(float(told), device=accelerator.device)
            told = bool(accelerator.reduce(mine, "sum") > 0)
        if told:
            run.stopping = _TOLD + (self.received or "a signal to another process")

    def end(self, run: Run) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}
