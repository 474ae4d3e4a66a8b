from .bazaar.bayes_filter import BayesFilter
from .bazaar.drawing import pictures
from .bazaar.exposure import FrontPage
from .bazaar.friends import friendships
from .bazaar.news import MOODS, news
from .bazaar.oracle import Oracle
from .bazaar.statements import LibraryText, library, library_rules
from .bazaar.terse import terse_items
from .bazaar.words import INTERESTS
from .cold_splits import cold_item, hidden_domain
from .contracts import validate
from .domain_scenes import scenes
from .holdout import Holdout, Split
from .interactions import Histories, Interactions
from .load import load_dataset
from .messy import MESSY_DATES, MESSY_ENCODING, write_messy_csv
from .positive_rows import positives
from .run_config import RunConfigError
from .splits import TiedOrderWarning, global_time, leave_one_out, random_split
from .tables import EVENTS, TABLES, Card, DataError, Dataset, Dropped, NotFittedError

__all__ = [
    "EVENTS",
    "INTERESTS",
    "MESSY_DATES",
    "MESSY_ENCODING",
    "MOODS",
    "TABLES",
    "BayesFilter",
    "Card",
    "DataError",
    "Dataset",
    "Dropped",
    "FrontPage",
    "Histories",
    "Holdout",
    "Interactions",
    "LibraryText",
    "NotFittedError",
    "Oracle",
    "RunConfigError",
    "Split",
    "TiedOrderWarning",
    "cold_item",
    "friendships",
    "global_time",
    "hidden_domain",
    "leave_one_out",
    "library",
    "library_rules",
    "load_dataset",
    "news",
    "pictures",
    "positives",
    "random_split",
    "scenes",
    "terse_items",
    "validate",
    "write_messy_csv",
]
