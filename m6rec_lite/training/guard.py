"""Estimate the duration of a run by timing its first steps."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from tqdm import tqdm

from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.run import Run


class TooLongError(RuntimeError):
    """A run would take longer than its limit."""


class TimeGuard(Callback):
    """Time the first steps and report how long the whole run will take.

    The first step is not timed, since it allocates memory and selects kernels. The steps after it
    are timed until ``seconds`` have passed, at most ten. Time for validation is not included.

    Args:
        worth_saying: shortest duration to report, in minutes.
        limit: longest duration allowed, in minutes; a longer run is stopped at once.
        say: called with the message.
        seconds: how long to time.
        clock: function that returns the time in seconds.

    Attributes:
        minutes: the estimate for the remaining steps; None before it is made.
    """

    def __init__(
        self,
        *,
        worth_saying: float = 1.0,
        limit: float | None = None,
        say: Callable[[str], None] = tqdm.write,
        seconds: float = 1.0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.worth_saying = worth_saying
        self.limit = limit
        self.say = say
        self.seconds = seconds
        self.clock = clock
        self.minutes: float | None = None

    def start(self, run: Run) -> None:
        """Reset the estimate."""
        self.minutes = None
        self._first = run.step + 1

    def step(self, run: Run) -> None:
        """Time a step; report once enough steps are timed."""
        timed = run.step - self._first
        if self.minutes is not None:
            return
        if run.accelerator.device.type == "cuda":  # steps are queued: wait for them
            torch.cuda.synchronize(run.accelerator.device)
        if timed == 0:
            self._since = self.clock()
            return
        passed = self.clock() - self._since
        if passed < self.seconds and timed < 10:
            return
        remaining = run.total_steps - run.step
        self.minutes = remaining * passed / timed / 60
        device = run.accelerator.device
        threads = torch.get_num_threads()
        cpu = f"CPU, {threads} threads" if threads > 1 else "CPU, 1 thread"
        name = cpu if device.type == "cpu" else str(device)
        message = (
            f"On this machine ({name}) this will take about {in_words(self.minutes)}: "
            f"{remaining:,} steps of {passed / timed:.3g} s"
        )
        if self.limit is not None and self.minutes > self.limit:
            raise TooLongError(
                f"{message}, and limit={self.limit:g} minutes was set. Train for fewer epochs, "
                "with a smaller model or shorter sequences, or on a GPU; or raise the limit"
            )
        if self.minutes >= self.worth_saying:
            self.say(message + ".")


def in_words(minutes: float) -> str:
    """Return a duration such as ``40 seconds``, ``12 minutes``, ``3.5 hours``, ``9 days``."""
    if minutes < 1:
        seconds = max(1, round(60 * minutes))
        return f"{seconds} seconds" if seconds > 1 else "1 second"
    if minutes < 120:
        return f"{minutes:.0f} minutes" if minutes >= 1.5 else "1 minute"
    hours = minutes / 60
    if hours < 96:
        return f"{hours:.1f} hours"
    days = hours / 24
    return f"{days:.0f} days" if days < 730 else f"{days / 365.25:,.1f} years"
