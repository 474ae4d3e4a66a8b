"""A progress bar for notebooks, terminals and log files."""

from __future__ import annotations

import sys
from typing import Any

from tqdm.auto import tqdm as tqdm_auto
from tqdm.std import tqdm as tqdm_text

from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.run import Run


def in_notebook() -> bool:
    """Return whether this runs in a Jupyter kernel."""
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class Progress(Callback):
    """A bar over the steps of a run, with the epoch, the loss and the last validation results.

    In a notebook it is a widget (text if ipywidgets is missing), in a terminal a line that is
    rewritten; if the output goes to a file, it is printed only every half minute.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._results: dict[str, str] = {}

    def start(self, run: Run) -> None:
        """Show the bar at the current step."""
        quiet = not in_notebook() and not sys.stderr.isatty()
        options: dict[str, Any] = {
            "total": run.total_steps,
            "initial": run.step,
            "desc": "training",
            "unit": "step",
            "leave": False,
            "mininterval": 30.0 if quiet else 0.25,
        }
        try:
            self._bar = tqdm_auto(**options)
        except ImportError:  # a notebook without ipywidgets
            self._bar = tqdm_text(**options)

    def step(self, run: Run) -> None:
        """Advance by a step."""
        postfix = {"epoch": run.epoch + 1, "loss": f"{run.loss:.4g}", **self._results}
        self._bar.set_postfix(postfix, refresh=False)
        self._bar.update()

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Store the validation results for display."""
        others = {"epoch", "step", "lr", "seconds", "loss"}
        self._results = {k: f"{v:.4g}" for k, v in record.items() if k not in others}

    def end(self, run: Run) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
