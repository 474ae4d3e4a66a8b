"""Learning curves during a run: a figure in a notebook, a line of text elsewhere."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tqdm import tqdm

from m6rec_lite.data.files import png_bytes
from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.progress import in_notebook
from m6rec_lite.training.run import Run

BARS = "▁▂▃▄▅▆▇█"

#: Names in a record that are not drawn.
NOT_DRAWN = frozenset({"epoch", "step", "lr", "seconds"})


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return a row of block characters whose heights follow the values.

    Args:
        values: numbers; those that are not finite are shown as ``!``.
        width: largest number of blocks; of more values, the last ones are shown.
    """
    values = list(values)[-width:]
    finite = [value for value in values if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
    spread = high - low or 1.0
    return "".join(
        BARS[round((len(BARS) - 1) * (value - low) / spread)] if math.isfinite(value) else "!"
        for value in values
    )


class LivePlot(Callback):
    """Plot the numbers of the records against the epochs, updated after each epoch.

    In a notebook one figure is updated, with an alternative text; elsewhere each epoch prints one
    line: the numbers, each with a row of blocks.

    Args:
        watch: names to plot; all by default.
        say: called with the line of text.
    """

    def __init__(
        self, watch: Sequence[str] | None = None, *, say: Callable[[str], None] = tqdm.write
    ) -> None:
        self.watch = watch
        self.say = say
        self._display: Any = None

    def start(self, run: Run) -> None:
        """Start a new figure."""
        self._display = None

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Update the figure, or print a line."""
        if not run.accelerator.is_main_process:
            return
        names = self.watch or [name for name in record if name not in NOT_DRAWN]
        if missing := [name for name in names if name not in record]:
            raise KeyError(f"LivePlot watches {missing}; the records hold {sorted(record)}")
        curves = {name: run.history[name] for name in names}
        text = f"epoch {record['epoch']}: " + "   ".join(
            f"{name} {values[-1]:.4g} {sparkline(values)}" for name, values in curves.items()
        )
        if in_notebook():
            self._show(png(curves), f"Learning curves after {text}")
        else:
            self.say(text)

    def _show(self, picture: bytes, text: str) -> None:
        """Display the picture, or replace the one on display."""
        from IPython.display import display

        data = {"image/png": picture, "text/plain": text}
        metadata = {"image/png": {"alt": text}}
        if self._display is None:
            self._display = display(data, raw=True, metadata=metadata, display_id=True)
        else:
            self._display.update(data, raw=True, metadata=metadata)


def png(curves: Mapping[str, Sequence[float]]) -> bytes:
    """Return a PNG with a panel for each curve, over the epochs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(3.5 * len(curves), 2.6), layout="constrained")
    for ax, (name, values) in zip(
        figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True
    ):
        ax.plot(range(1, len(values) + 1), values, marker="o", markersize=4)
        ax.set(xlabel="epoch", ylabel=name)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(alpha=0.3)
    return png_bytes(figure)
