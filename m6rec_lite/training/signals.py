"""A run that is interrupted (Ctrl-C, or SIGTERM as by a scheduler) writes its checkpoint first."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import torch

from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.progress import in_notebook
from m6rec_lite.training.run import Run

#: On several processes all must stop at one step; they compare only every this many steps.
STEPS_BETWEEN_LOOKS = 10


class Interrupted(SystemExit):
    """A signal ended a run, and its checkpoint is written.

    Where nothing catches it, the program ends with the status that shells give to the signal:
    130 after Ctrl-C, 143 after SIGTERM.
    """


class StopOnSignal(Callback):
    """Notes signals, so that ``fit`` can write its checkpoint after the step in which one came.

    ``fit`` adds it to every run that has a checkpoint folder. A second signal ends the program at
    once. In a thread other than the main one signals cannot be caught, and this does nothing.

    Args:
        signals: names; those that the system lacks are left out.

    Attributes:
        received: the name of the signal that came, or None.
    """

    def __init__(self, signals: tuple[str, ...] = ("SIGTERM", "SIGINT")) -> None:
        self.signals = [getattr(signal, name) for name in signals if hasattr(signal, name)]
        self.received: str | None = None
        self._before: dict[int, Any] = {}

    def start(self, run: Run) -> None:
        """Catch the signals."""
        self.received = None
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in self.signals}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number).name
        signal.signal(number, self._before.get(number) or signal.SIG_DFL)

    def due(self, run: Run) -> bool:
        """Whether a signal came, to any of the processes; all processes answer alike."""
        accelerator, came = run.accelerator, self.received is not None
        if accelerator.num_processes == 1:
            return came
        if run.step % STEPS_BETWEEN_LOOKS and run.position:
            return False
        number = getattr(signal, self.received) if self.received else 0
        mine = torch.tensor(int(number), device=accelerator.device)
        highest = int(accelerator.gather(mine[None]).max())
        if highest:
            self.received = signal.Signals(highest).name
        return highest > 0

    def interrupt(self, run: Run) -> None:
        """End the program; called once the checkpoint is written.

        Raises:
            KeyboardInterrupt: in a notebook, after the kernel's interrupt.
            Interrupted: elsewhere.
        """
        said = (
            f"interrupted by {self.received}: {run.saved} holds the run after step {run.step}; "
            "start it again to continue from there"
        )
        if in_notebook() and self.received == "SIGINT":
            raise KeyboardInterrupt(said)
        if run.accelerator.is_main_process:
            print(said, flush=True)
        raise Interrupted(128 + getattr(signal, self.received or "SIGTERM"))

    def end(self, run: Run) -> None:
        """Restore the handlers that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}
