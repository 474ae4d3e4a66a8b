from .bazaar.oracle import Oracle
from .bazaar.words import INTERESTS
from .cold_splits import cold_item, hidden_domain
from .contracts import validate
from .holdout import Holdout, Split
from .interactions import Histories, Interactions
from .load import load_dataset
from .splits import (
    TiedOrderWarning,
    global_time,
    leave_one_out,
    random_split,
)
from .tables import EVENTS, TABLES, Card, DataError, Dataset, Dropped, NotFittedError

__all__ = [
    "EVENTS",
    "INTERESTS",
    "TABLES",
    "Card",
    "DataError",
    "Dataset",
    "Dropped",
    "Histories",
    "Holdout",
    "Interactions",
    "NotFittedError",
    "Oracle",
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
