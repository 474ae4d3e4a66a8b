from .ab_tests import Looks, assign, look, power_of, sample_size
from .interleaving import Interleaved, team_draft
from .off_policy import (
    Estimate,
    SlateLog,
    doubly_robust,
    ips,
    list_probabilities,
    self_normalised,
)
from .online import STRATEGIES, run_stream, stream_ndcg
from .rounds import click_chances, gini, run_rounds

__all__ = [
    "STRATEGIES",
    "Estimate",
    "Interleaved",
    "Looks",
    "SlateLog",
    "assign",
    "click_chances",
    "doubly_robust",
    "gini",
    "ips",
    "list_probabilities",
    "look",
    "power_of",
    "run_rounds",
    "run_stream",
    "sample_size",
    "self_normalised",
    "stream_ndcg",
    "team_draft",
]
