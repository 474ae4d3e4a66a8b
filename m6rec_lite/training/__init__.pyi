from .averaging import Averaging
from .batches import Batches, Epoch, RowBatches, rng
from .callbacks import Callback, EarlyStopping, ReduceOnPlateau
from .checkpoints import Checkpoints, load_weights
from .errors import CheckpointError, DiskFullError, OutOfMemoryError
from .guard import TimeGuard, TooLongError, in_words
from .loop import fit
from .metrics import Metrics, read_metrics
from .plots import LivePlot
from .run import History, Run
from .signals import Interrupted
from .tensorboard import TensorBoard

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
    "Interrupted",
    "LivePlot",
    "Metrics",
    "OutOfMemoryError",
    "ReduceOnPlateau",
    "RowBatches",
    "Run",
    "TensorBoard",
    "TimeGuard",
    "TooLongError",
    "fit",
    "in_words",
    "load_weights",
    "read_metrics",
    "rng",
]
