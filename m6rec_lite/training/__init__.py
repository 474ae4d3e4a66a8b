"""Training: one loop for every neural model, checkpoints, callbacks, devices and processes."""

from m6rec_lite.data.files import DiskFullError
from m6rec_lite.training.averaging import Averaging
from m6rec_lite.training.batches import Batches, Epoch, RowBatches, rng
from m6rec_lite.training.callbacks import Callback, EarlyStopping, ReduceOnPlateau
from m6rec_lite.training.checkpoints import Checkpoints, load_weights
from m6rec_lite.training.errors import CheckpointError, OutOfMemoryError
from m6rec_lite.training.guard import TimeGuard, TooLongError
from m6rec_lite.training.loop import fit
from m6rec_lite.training.plots import LivePlot
from m6rec_lite.training.run import History, Run
from m6rec_lite.training.tensorboard import TensorBoard

__all__ = [
    "Averaging",
    "Batches",
    "Callback",
    "CheckpointError",
    "Checkpoints",
    "DiskFullError",
    "EarlyStopping",
    "Epoch",
    "History",
    "LivePlot",
    "OutOfMemoryError",
    "ReduceOnPlateau",
    "RowBatches",
    "Run",
    "TensorBoard",
    "TimeGuard",
    "TooLongError",
    "fit",
    "load_weights",
    "rng",
]
