from .asserted_metrics import record
from .comparison import BOTH, TEXT, as_markdown, beside, tie_caveat
from .exercises.question import exercise
from .figures import PALETTE, ladder, ladder_alt, roadmap, show, style
from .leaderboard import Leaderboard
from .lesson_data import dense_sample, load
from .paths import project_root
from .published import NOTHING, QUERY_TIME, best_published
from .scale import default_scale, sizes

__all__ = [
    "BOTH",
    "NOTHING",
    "PALETTE",
    "QUERY_TIME",
    "TEXT",
    "Leaderboard",
    "as_markdown",
    "beside",
    "best_published",
    "default_scale",
    "dense_sample",
    "exercise",
    "ladder",
    "ladder_alt",
    "load",
    "project_root",
    "record",
    "roadmap",
    "show",
    "sizes",
    "style",
    "tie_caveat",
]
