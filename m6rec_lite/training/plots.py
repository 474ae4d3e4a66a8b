"""Curves that grow while a run goes on: a figure in a notebook, a line of text elsewhere."""

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

#: Of a record, what says where and not how well.
NO_CURVE = frozenset({"epoch", "step", "lr", "seconds"})


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """A row of blocks whose heights follow the values; the lowest value has the lowest block.

    Args:
        values: any; those that are not finite show as ``!``.
        width: at most so many blocks: of more values, the last ones are shown.
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
    """Draws each number of the records against the epochs, anew after each epoch.

    In a notebook one figure is drawn over and over, with its text for those who cannot see it;
    elsewhere, or without matplotlib, an epoch is one line: the number and a row of blocks.

    Args:
        watch: names to draw; all there are when left out.
        say: called with the line of text.
    """

    def __init__(
        self, watch: Sequence[str] | None = None, *, say: Callable[[str], None] = tqdm.write
    ) -> None:
        self.watch = watch
        self.say = say
        self._display: Any = None

    def start(self, run: Run) -> None:
        """A new figure for a new run."""
        self._display = None

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Draw."""
        if not run.accelerator.is_main_process:
            return
        names = self.watch or [name for name in record if name not in NO_CURVE]
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
        """Put the picture where the last one was."""
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
