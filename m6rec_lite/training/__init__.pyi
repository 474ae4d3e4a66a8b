from .averaging import Averaging
from .batches import Batches, Epoch, RowBatches, rng
from .callbacks import Callback, EarlyStopping, ReduceOnPlateau
from .checkpoints import Checkpoints, load_weights
from .errors import CheckpointError, DiskFullError, OutOfMemoryError
from .gaussian_process import expected_improvement, gp_posterior, rbf_kernel
from .guard import TimeGuard, TooLongError, in_words
from .hyperparameter_search import STRATEGIES, Choice, SearchResult, Trial, Uniform, search
from .loop import fit
from .metrics import Metrics, read_metrics
from .plots import LivePlot
from .run import History, Run
from .signals import Interrupted
from .tensorboard import TensorBoard

__all__ = [
    "STRATEGIES",
    "Averaging",
    "Batches",
    "Callback",
    "CheckpointError",
    "Checkpoints",
    "Choice",
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
    "SearchResult",
    "TensorBoard",
    "TimeGuard",
    "TooLongError",
    "Trial",
    "Uniform",
    "expected_improvement",
    "fit",
    "gp_posterior",
    "in_words",
    "load_weights",
    "rbf_kernel",
    "read_metrics",
    "rng",
    "search",
]
