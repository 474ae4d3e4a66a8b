"""A bar that works in a notebook, in a terminal and in the log of an automatic check."""

from __future__ import annotations

import sys
from typing import Any

from tqdm.auto import tqdm as tqdm_where_it_fits
from tqdm.std import tqdm as tqdm_text

from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.run import Run


def in_notebook() -> bool:
    """Whether this runs in a Jupyter kernel."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class Progress(Callback):
    """A bar over the steps of a run, with the epoch, the loss and what validation found last.

    In a notebook it is a widget (text, where ipywidgets is missing); in a terminal a line that
    rewrites itself; where output goes to a file it speaks every half minute only.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._found: dict[str, str] = {}

    def start(self, run: Run) -> None:
        """Show the bar, at the place where the run goes on."""
        quiet = not in_notebook() and not sys.stderr.isatty()
        setting = {
            "total": run.total_steps,
            "initial": run.step,
            "desc": "training",
            "unit": "step",
            "leave": False,
            "mininterval": 30.0 if quiet else 0.25,
        }
        try:
            self._bar = tqdm_where_it_fits(**setting)
        except ImportError:  # a notebook without ipywidgets
            self._bar = tqdm_text(**setting)

    def step(self, run: Run) -> None:
        """Move on by a step."""
        shown = {"epoch": run.epoch + 1, "loss": f"{run.loss:.4g}", **self._found}
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Remember what validation found."""
        known = {"epoch", "step", "lr", "seconds", "loss"}
        self._found = {k: f"{v:.4g}" for k, v in record.items() if k not in known}

    def end(self, run: Run) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()
