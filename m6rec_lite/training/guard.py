"""How long will this take? Asked of the machine itself, by timing its first steps."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from tqdm import tqdm

from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.run import Run


class TooLongError(RuntimeError):
    """A run would take longer than it may."""


class TimeGuard(Callback):
    """Times steps at the start and says how long the whole run will take.

    The first step is left out: memory is fetched in it and kernels are chosen. The steps after it
    are timed until ``seconds`` have passed, or ten of them. What validation takes comes on top.

    Args:
        worth_saying: minutes below which it keeps quiet.
        limit: minutes; a run that would take longer is stopped at once.
        say: called with the sentence.
        seconds: how long to time.
        clock: gives seconds.

    Attributes:
        minutes: the estimate for the steps that were left, once there is one.
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
        """Begin anew."""
        self.minutes = None
        self._first = run.step + 1

    def step(self, run: Run) -> None:
        """Time a step; speak once enough are timed."""
        timed = run.step - self._first
        if self.minutes is not None:
            return
        if run.accelerator.device.type == "cuda":  # steps are only queued there: wait for them
            torch.cuda.synchronize(run.accelerator.device)
        if timed == 0:
            self._since = self.clock()
            return
        passed = self.clock() - self._since
        if passed < self.seconds and timed < 10:
            return
        left = run.total_steps - run.step
        self.minutes = left * passed / timed / 60
        device = run.accelerator.device
        threads = torch.get_num_threads()
        cpu = f"CPU, {threads} threads" if threads > 1 else "CPU, 1 thread"
        where = cpu if device.type == "cpu" else str(device)
        told = (
            f"On this machine ({where}) this will take about {in_words(self.minutes)}: "
            f"{left:,} steps of {passed / timed:.3g} s"
        )
        if self.limit is not None and self.minutes > self.limit:
            raise TooLongError(
                f"{told}, and limit={self.limit:g} minutes was set. Train for fewer epochs, with "
                "a smaller model or shorter sequences, or on a GPU; or raise the limit"
            )
        if self.minutes >= self.worth_saying:
            self.say(told + ".")


def in_words(minutes: float) -> str:
    """``40 seconds``, ``12 minutes``, ``3.5 hours``, ``9 days``, ``2.1 years``."""
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
