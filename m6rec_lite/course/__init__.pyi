from .asserted_metrics import record
from .comparison import (
    TEXT_ID_RETRIEVER,
    TEXT_RETRIEVER,
    as_markdown,
    compare_with_published,
    tie_caveat,
)
from .concepts import ConceptInventory, concept_inventory
from .exercises.question import exercise
from .figures import PALETTE, leaderboard_alt_text, plot_leaderboard, plot_roadmap, show, style
from .leaderboard import Leaderboard
from .learner_progress import certificate, progress
from .lesson_data import dense_sample, load
from .paths import project_root
from .predictions import compare_prediction, predict
from .recorded_people import people_curves, people_differences
from .scale import default_scale, sizes
from .widgets.output import try_it

__all__ = [
    "PALETTE",
    "TEXT_ID_RETRIEVER",
    "TEXT_RETRIEVER",
    "ConceptInventory",
    "Leaderboard",
    "as_markdown",
    "certificate",
    "compare_prediction",
    "compare_with_published",
    "concept_inventory",
    "default_scale",
    "dense_sample",
    "exercise",
    "leaderboard_alt_text",
    "load",
    "people_curves",
    "people_differences",
    "plot_leaderboard",
    "plot_roadmap",
    "predict",
    "progress",
    "project_root",
    "record",
    "show",
    "sizes",
    "style",
    "tie_caveat",
    "try_it",
]
