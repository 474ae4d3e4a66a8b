"""Data: tables and their contracts, readers, the bazaar, and splits."""

from m6rec_lite.data.contracts import validate
from m6rec_lite.data.holdout import Holdout, Split
from m6rec_lite.data.interactions import Histories, Interactions
from m6rec_lite.data.load import load_dataset
from m6rec_lite.data.splits import (
    TiedOrderWarning,
    cold_item,
    global_time,
    hidden_domain,
    leave_one_out,
    random_split,
)
from m6rec_lite.data.tables import (
    EVENTS,
    TABLES,
    Card,
    DataError,
    Dataset,
    Dropped,
    NotFittedError,
)

__all__ = [
    "EVENTS",
    "TABLES",
    "Card",
    "DataError",
    "Dataset",
    "Dropped",
    "Histories",
    "Holdout",
    "Interactions",
    "NotFittedError",
    "Split",
    "TiedOrderWarning",
    "cold_item",
    "global_time",
    "hidden_domain",
    "leave_one_out",
    "load_dataset",
    "random_split",
    "validate",
]
