"""Write a checkpoint when a run is interrupted by Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import torch

from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.progress import in_notebook
from m6rec_lite.training.run import Run

#: Several processes must stop at the same step; they synchronise only every this many steps.
STEPS_BETWEEN_CHECKS = 10


class Interrupted(SystemExit):
    """A signal ended a run, after its checkpoint was written.

    If it is not caught, the program ends with the usual exit status of the signal: 130 after
    Ctrl-C, 143 after SIGTERM.
    """


class StopOnSignal(Callback):
    """Record signals, so that ``fit`` can write a checkpoint after the current step.

    ``fit`` adds it to every run that has a checkpoint folder. A second signal ends the program at
    once. Outside the main thread signals cannot be caught, and this does nothing.

    Args:
        signals: names of signals; those that the system lacks are ignored.

    Attributes:
        received: the name of the received signal, or None.
    """

    def __init__(self, signals: tuple[str, ...] = ("SIGTERM", "SIGINT")) -> None:
        self.signals = [getattr(signal, name) for name in signals if hasattr(signal, name)]
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def start(self, run: Run) -> None:
        """Catch the signals."""
        self.received = None
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._record) for number in self.signals}

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        signal.signal(number, self._before.get(number) or signal.SIG_DFL)

    def due(self, run: Run) -> bool:
        """Return whether any process received a signal; the same on all processes."""
        accelerator = run.accelerator
        if accelerator.num_processes == 1:
            return self.received is not None
        if run.step % STEPS_BETWEEN_CHECKS and run.position:
            return False
        number = getattr(signal, self.received) if self.received else 0
        numbers = accelerator.gather(torch.tensor([int(number)], device=accelerator.device))
        highest = int(numbers.max())
        if highest:
            self.received = signal.Signals(highest).name
        return highest > 0

    def interrupt(self, run: Run) -> None:
        """End the program; call this after the checkpoint is written.

        Raises:
            KeyboardInterrupt: in a notebook, after the kernel's interrupt.
            Interrupted: elsewhere.
        """
        message = (
            f"interrupted by {self.received}: {run.saved} holds the run after step {run.step}; "
            "start it again to continue from there"
        )
        if in_notebook() and self.received == "SIGINT":
            raise KeyboardInterrupt(message)
        if run.accelerator.is_main_process:
            print(message, flush=True)
        raise Interrupted(128 + getattr(signal, self.received or "SIGTERM"))

    def end(self, run: Run) -> None:
        """Restore the earlier signal handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}
