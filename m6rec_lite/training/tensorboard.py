"""Write the records of a run for TensorBoard (an optional dependency)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from m6rec_lite.training.callbacks import Callback
from m6rec_lite.training.run import Run


class TensorBoard(Callback):
    """Write the loss and the rate during the run, and every number of every record.

    View it with ``tensorboard --logdir runs``, or in a notebook with ``%load_ext tensorboard``
    and ``%tensorboard --logdir runs``. A resumed run continues its curve from its checkpoint;
    points written after the checkpoint are discarded.

    Args:
        folder: folder of the files; use a separate one for each run.
        every: steps between two points of the loss.

    Raises:
        ImportError: if TensorBoard is not installed.
        ValueError: if ``every`` is below 1.
    """

    def __init__(self, folder: str | Path, *, every: int = 10) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every!r}")
        self.folder = Path(folder)
        self.every = every
        self._writer: Any = None
        _writer_class()  # fail early

    def start(self, run: Run) -> None:
        """Open the files, on the first process."""
        if run.accelerator.is_main_process:
            purge = run.step + 1 if run.step else None
            self._writer = _writer_class()(str(self.folder), purge_step=purge)

    def step(self, run: Run) -> None:
        """Write the loss and the rate."""
        if self._writer is not None and run.step % self.every == 0:
            self._writer.add_scalar("step/loss", run.loss, run.step)
            self._writer.add_scalar("step/lr", run.lr, run.step)

    def epoch(self, run: Run, record: dict[str, float]) -> None:
        """Write the record."""
        if self._writer is not None:
            for name in record.keys() - {"epoch", "step"}:
                self._writer.add_scalar(f"epoch/{name}", record[name], run.step)
            self._writer.flush()

    def end(self, run: Run) -> None:
        """Close the files."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _writer_class() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # hides TensorBoard's start messages
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard is not installed; run: pip install 'm6rec-lite[tensorboard]' (or leave "
            "the TensorBoard callback out: the history holds the same numbers)"
        ) from error
    return SummaryWriter
